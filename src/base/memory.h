/* What a process at rest holds of the system's memory. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

/* Gives back what malloc keeps of freed memory, and the mapping of code and constants (of this program and of its
 * libraries): most of those were needed to start or for work that is done. What is called again is mapped again from
 * the system's cache, some hundred microseconds for all of it. Any thread, at any time; for when there is nothing to
 * do. */
void memory_give_back(void);

#endif
