// Keys in a notebook's widgets.

/**
 * The notebook gets no key that is pressed alone: else D, D on the pad would delete its cell.
 * Shortcuts such as Ctrl+S, and Shift+Enter, go on to it.
 */
function keepKeys(root) {
  root.addEventListener("keydown", (event) => {
    const shortcut = event.ctrlKey || event.metaKey || event.altKey;
    if (!shortcut && !(event.shiftKey && event.key === "Enter")) event.stopPropagation();
  });
}
