/* See memory.h. Only segments that the linker marks as never written are let go: their pages are the file's. */
#include "base/memory.h"

#include <link.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static int let_go(struct dl_phdr_info *object, size_t size, void *page_bytes) {
    uintptr_t page = *(const uintptr_t *)page_bytes;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        /* One with relocations in its code is left alone: it would lose them. */
        if (segment->p_type == PT_DYNAMIC)
            for (const ElfW(Dyn) *d = (const void *)(object->dlpi_addr + segment->p_vaddr); d->d_tag != DT_NULL; d++)
                if (d->d_tag == DT_TEXTREL) return 0;
    }
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W) continue;
        uintptr_t from = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
        uintptr_t end = (object->dlpi_addr + segment->p_vaddr + segment->p_memsz) & ~(page - 1);
        if (end > from) madvise((void *)from, end - from, MADV_DONTNEED);
    }
    return 0;
}

void memory_give_back(void) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    dl_iterate_phdr(let_go, &page);
}
