/* A program that links libvitrine, as applications do: one conversation of a storefront, traced. All configuration
 * comes from the environment. sdk_client TURNS      each turn a call that fails, one that answers, and a tool; then
 * flush and exit sdk_client - TURNS    the same, but each turn waits for a line on stdin */
#include <vitrine.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void one_turn(int number) {
    char turn_id[16];
    snprintf(turn_id, sizeof turn_id, "%d", number);
    vt_span *turn = vt_chat_start("continue_thread", &(vt_chat_turn){.user_id = "shopper-7",
                                                                     .thread_id = "thread-1",
                                                                     .turn_id = turn_id,
                                                                     .message_count = 2 * number + 1});
    vt_span *call =
        vt_llm_start("openai.chat.completions.create",
                     &(vt_llm_call){.provider = "openai", .model = "gpt-4o", .prompt = "Which jacket fits rain?"});
    vt_span_error(call, "429 rate limited");
    vt_span_end(call);
    call = vt_llm_start("openai.chat.completions.create", &(vt_llm_call){.provider = "openai",
                                                                         .model = "gpt-4o-mini",
                                                                         .temperature = 0.7,
                                                                         .prompt = "Which jacket fits rain?",
                                                                         .user_id = "shopper-7",
                                                                         .thread_id = "thread-1"});
    vt_llm_first_token(call);
    vt_llm_response(call, "The \"red\" one: gr\xc3\xbc\xc3\x9f dich.", "stop");
    vt_llm_usage(call, &(vt_usage){.prompt_tokens = 159, .completion_tokens = 237, .cached_tokens = 100});
    vt_span_end(call);
    vt_span *tool = vt_span_start("tool.stock");
    vt_span_set_str(tool, "sku", "J-1");
    vt_span_set_int(tool, "stock", 4);
    vt_span_end(tool);
    vt_span_end(turn);
}

int main(int argc, char **argv) {
    int waits = argc > 2 && !strcmp(argv[1], "-");
    int turns = argc > 1 ? atoi(argv[1 + waits]) : 1;
    if (vt_init(NULL)) {
        fprintf(stderr, "%s\n", vt_error_message());
        return 1;
    }
    for (int i = 0; i < turns; i++) {
        char line[64];
        if (waits && !fgets(line, sizeof line, stdin)) break;
        one_turn(i);
        if (waits) printf("flush %d\n", vt_flush(10000)), fflush(stdout);
    }
    return 0; /* exit sends what waits */
}
