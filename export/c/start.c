/* What a Cortex-M4 begins with: where the stack ends, and where to go. newlib does the rest. */

extern char stack_end[];
void _start(void);

static void reset(void) {
  *(volatile unsigned *)0xE000ED88 |= 0xFu << 20; /* the floating point unit is on */
  _start();
}

__attribute__((section(".vectors"), used)) static const struct {
  char *stack;
  void (*reset)(void);
} vectors = {stack_end, reset};
