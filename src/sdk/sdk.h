/* What sdk.c needs of its neighbours that have no header of their own. */
#ifndef SDK_SDK_H
#define SDK_SDK_H

#include "vitrine-otlp.h"

typedef int (*otlp_exporter_fn)(const vt_otlp_config *config, vt_exporter *exporter, char *message, size_t size);
/* NULL unless libvitrine-otlp is linked into the program. */
extern __typeof__(vt_otlp_exporter) vt_otlp_exporter __attribute__((weak));

void propagate_choose(unsigned propagators); /* VT_PROPAGATE_… */

#endif
