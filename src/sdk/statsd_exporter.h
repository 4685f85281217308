/* The exporter that counts LLM calls and chat turns as StatsD metrics over UDP, by the names of the storefront:
 * <service>.llm.{requests,duration,errors,tokens,ttft,cost} and <service>.chat.{turns,duration,errors,fallbacks}. */
#ifndef SDK_STATSD_EXPORTER_H
#define SDK_STATSD_EXPORTER_H

#include "sdk/settings.h"

/* False: no memory. The address is looked up by the thread that exports, when the first metric goes out. */
bool statsd_exporter(const struct settings *settings, vt_exporter *exporter);

#endif
