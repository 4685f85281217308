/* libvitrine's front door: start, stop, flush, and what the library says about itself. */
#include "vitrine.h"

const char *vt_version(void) {
    return VITRINE_VERSION;
}
