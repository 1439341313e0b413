/* Marks in a guest program: a system call that no kernel has, and that the plugin sees.
 * `mark(label)` says that the instructions since the last mark belong to `label`; label 0 says
 * that they belong to nothing. */
#ifndef MARKER_H
#define MARKER_H

#define MARKER_SYSCALL 7777

#endif
