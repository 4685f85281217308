/* storefront: a small AI shop for the terminal, traced with libvitrine. It is the example to copy from.
 *
 *     OPENAI_API_KEY=… storefront            chat with the shop
 *     storefront --script                    plays some conversations (what `vitrine demo` does)
 *
 * The model is any OpenAI-compatible API: OPENAI_BASE_URL, OPENAI_API_KEY, STOREFRONT_MODEL. Traces go where the
 * environment says: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 sends them to Vitrine, otherwise they are JSON
 * lines on standard output. */
#include "chat.h"
#include "script.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <vitrine.h>

static const char *environment(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static int chat(const struct llm_settings *llm, const char *user_id) {
    struct conversation conversation;
    char line[4096], thread_id[64];
    snprintf(thread_id, sizeof thread_id, "thread-%lx-%x", (unsigned long)time(NULL), (unsigned)getpid());
    if (conversation_start(&conversation, llm, user_id, thread_id)) return 1;
    fprintf(stderr, "Ask the shop something; an empty line or Ctrl-D ends the chat.\n");
    while (fprintf(stderr, "> "), fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (!line[0]) break;
        fprintf(stderr, "%s\n", conversation_say(&conversation, line, &(struct turn_options){.stream = true}));
    }
    conversation_end(&conversation);
    return 0;
}

static int usage(void) {
    fprintf(stderr, "usage: storefront [--script] [--quiet] [--user ID]\n");
    return 2;
}

int main(int argc, char **argv) {
    bool script = false, quiet = false;
    const char *user_id = "you";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--script") == 0)
            script = true;
        else if (strcmp(argv[i], "--quiet") == 0)
            quiet = true;
        else if (strcmp(argv[i], "--user") == 0 && i + 1 < argc)
            user_id = argv[++i];
        else
            return usage();
    }
    struct llm_settings llm = {.base_url = environment("OPENAI_BASE_URL", "https://api.openai.com/v1"),
                               .api_key = getenv("OPENAI_API_KEY"),
                               .model = environment("STOREFRONT_MODEL", "gpt-4o-mini"),
                               .temperature = 0.7,
                               .timeout_ms = script ? 3000 : 60000};
    curl_global_init(CURL_GLOBAL_DEFAULT);
    vt_config config = {.service_name = getenv("OTEL_SERVICE_NAME") ? NULL : "ai-storefront",
                        .service_version = "1.0.0",
                        .capture = getenv("VITRINE_CAPTURE") ? VT_CAPTURE_DEFAULT : VT_CAPTURE_FULL};
    if (vt_init(&config)) fprintf(stderr, "storefront: not traced: %s\n", vt_error_message());
    int result = script ? script_play(&llm, quiet) : chat(&llm, user_id);
    vt_shutdown();
    curl_global_cleanup();
    return result;
}
