/* The exporter that writes JSON lines: to a callback, or to a FILE with whole blocks of lines at a time. */
#ifndef SDK_CONSOLE_H
#define SDK_CONSOLE_H

#include "sdk/settings.h"

/* False: no memory. */
bool console_exporter(const struct settings *settings, vt_exporter *exporter);

#endif
