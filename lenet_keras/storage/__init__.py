"""Files that are read with care and written whole.

A file may come from a stranger and be damaged, enormous or meant to do harm. The readers here look
at what a file says it holds before they unpack it, run nothing that it says, and return plain
arrays or one sentence that names the file.
"""
