/* The demo's shoppers. */
#include "script.h"

#include "chat.h"
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { TURNS_MAX = 5 };

static const struct shopper {
    const char *user_id, *model;
    struct {
        const char *text, *trouble;
        bool stream;
    } turns[TURNS_MAX];
} shoppers[] = {
    {"ada",
     "gpt-4o-mini",
     {{"Which jacket fits rainy weather?", "x-fake-llm: ttft_ms=140, chunk_ms=9", true},
      {"Which size of the Alpine Shell would you take at 1.78 m?", "x-fake-llm: ttft_ms=90, chunk_ms=8", true},
      {"Is the Alpine Shell available in M?", NULL, true},
      {"Thank you! 🧥", NULL, true}}},
    {"ben",
     "gpt-4o",
     {{"I need hiking boots for the Dolomites", "x-fake-llm: ttft_ms=310, chunk_ms=14", true},
      {"Do you have the boots in stock in 43?", "x-fake-llm: status=429", false},
      {"Are the boots available in 43 now?", NULL, false}}},
    {"chloé",
     "gpt-4o-mini",
     {{"A tent for two people and a dog?", "x-fake-llm: ttft_ms=160, chunk_ms=10", true},
      {"Where is my order?", "x-fake-llm: status=503, delay_ms=420", true},
      {"Can I return a jacket?", "x-fake-llm: ttft_ms=120", false}}},
    {"dmitri",
     "gpt-5-mini",
     {{"Please compare the two jackets", "x-fake-llm: ttft_ms=620, chunk_ms=6", true},
      {"Any discount on the rain jacket?", "x-fake-llm: ttft_ms=200, chunk_ms=12, cut=4", true},
      {"A gift for my sister?", "x-fake-llm: ttft_ms=180, chunk_ms=10", true}}},
};
enum { SHOPPERS = sizeof shoppers / sizeof *shoppers };

struct play {
    pthread_t thread;
    const struct shopper *shopper;
    struct llm_settings llm;
    bool quiet, started;
    char thread_id[64];
};

static void *play(void *ctx) {
    struct play *p = ctx;
    struct conversation conversation;
    if (conversation_start(&conversation, &p->llm, p->shopper->user_id, p->thread_id)) return NULL;
    for (int i = 0; i < TURNS_MAX && p->shopper->turns[i].text; i++) {
        const char *text = p->shopper->turns[i].text;
        const char *said = conversation_say(
            &conversation, text, &(struct turn_options){p->shopper->turns[i].stream, p->shopper->turns[i].trouble});
        if (!p->quiet)
            fprintf(stderr, "%-7s %s\n   shop %s\n", p->shopper->user_id, text,
                    said); /* one call, so that lines of two threads do not mix */
        nanosleep(&(struct timespec){0, 60 * 1000000}, NULL);
    }
    conversation_end(&conversation);
    return NULL;
}

int script_play(const struct llm_settings *llm, bool quiet) {
    struct play plays[SHOPPERS] = {0};
    int result = 0;
    for (size_t i = 0; i < SHOPPERS; i++) {
        plays[i] = (struct play){.shopper = &shoppers[i], .llm = *llm, .quiet = quiet};
        plays[i].llm.model = shoppers[i].model;
        snprintf(plays[i].thread_id, sizeof plays[i].thread_id, "%s-%lx-%x", shoppers[i].user_id,
                 (unsigned long)time(NULL), (unsigned)getpid());
        plays[i].started = pthread_create(&plays[i].thread, NULL, play, &plays[i]) == 0;
        if (!plays[i].started) result = 1;
    }
    for (size_t i = 0; i < SHOPPERS; i++)
        if (plays[i].started) pthread_join(plays[i].thread, NULL);
    return result;
}
