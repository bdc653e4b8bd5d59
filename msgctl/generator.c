#include "msgctl/generator.h"

#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/model/snowflake.h"
#include "msgctl/json.h"
#include "msgctl/phrases.h"

enum { AUTHORS = 400, SENTENCE_BYTES_MAX = 512, GAP_MS_MAX = 2000, MAKER = 7 };

void generator_init(struct generator *generator, uint64_t seed, unsigned channels, int64_t start_ms)
{
    CHECK(channels > 0 && channels <= GENERATOR_CHANNELS_MAX);
    *generator = (struct generator){.prng = prng_seeded(seed), .seed = seed, .channels = channels, .now_ms = start_ms};
    generator->weights = mem_alloc(channels * sizeof *generator->weights);
    generator->newest = mem_zalloc(channels * sizeof *generator->newest);
    double sum = 0;
    for (unsigned i = 0; i < channels; i++) {
        sum += 1.0 / (i + 1);
        generator->weights[i] = sum;
    }
}

void generator_fini(struct generator *generator)
{
    mem_free(generator->weights);
    mem_free(generator->newest);
}

/* Channel i has about 1/i of the first one's messages. */
static unsigned choose_channel(struct generator *generator)
{
    double share = (double)(prng_next(&generator->prng) >> 11) / 9007199254740992.0;
    double wanted = share * generator->weights[generator->channels - 1];
    unsigned low = 0, high = generator->channels - 1;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (generator->weights[middle] < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const char *pick(struct prng *prng, const char *const *texts, unsigned count)
{
    return texts[prng_below(prng, count)];
}

static void append_text(struct buffer *out, const char *text)
{
    buffer_append(out, text, strlen(text));
}

/* Every plane of Unicode, the characters that JSON escapes, and NUL. */
static void append_odd(struct prng *prng, struct buffer *out)
{
    static const char *const odd[] = {"\x01\x1f\x7f", "\"\\/\b\f\n\r\t", "\xf0\xa0\x80\x80", "\xf3\xa0\x84\x80",
        "\xf4\x8f\xbf\xbd", "\xef\xbf\xbd", "\xe2\x80\xae", "\xc2\x85", "\xee\x80\x80"};
    append_text(out, pick(prng, odd, sizeof odd / sizeof *odd));
    buffer_append(out, "", 1);
}

static void append_sentence(struct prng *prng, const struct phrases *language, struct buffer *out)
{
    append_text(out, pick(prng, language->texts, language->count));
    if (prng_chance(prng, 150000)) {
        append_text(out, " ");
        append_text(out, pick(prng, phrases_emoji, phrases_emoji_count));
    }
}

/* How long a text shall become; most end after a sentence or two. */
static size_t choose_size(struct generator *generator)
{
    struct prng *prng = &generator->prng;
    uint64_t kind = prng_below(prng, 20000);
    if (kind == 0 || generator->count == 1000) return CONTENT_BYTES_MAX;
    if (kind < 20) return (size_t)prng_between(prng, 4000, 20000);
    return kind < 400 ? (size_t)prng_between(prng, 300, 2000) : 0;
}

static struct trillium_bytes make_content(
    struct generator *generator, const struct phrases *language, struct arena *arena)
{
    struct prng *prng = &generator->prng;
    struct buffer text = {0};
    size_t wanted = choose_size(generator);
    uint64_t kind = prng_below(prng, 1000);
    if (wanted == 0 && kind < 4) return (struct trillium_bytes){"", 0};
    if (kind >= 4 && kind < 10) append_text(&text, phrases_code);
    if (kind >= 10 && kind < 13) append_odd(prng, &text);
    if (prng_chance(prng, 120000)) {
        append_text(&text, "@");
        append_text(&text, pick(prng, phrases_names, phrases_names_count));
        append_text(&text, " ");
    }
    append_sentence(prng, language, &text);
    while (text.size + SENTENCE_BYTES_MAX < CONTENT_BYTES_MAX && (text.size < wanted || prng_chance(prng, 250000))) {
        append_text(&text, prng_chance(prng, 100000) ? "\n" : " ");
        append_sentence(prng, language, &text);
    }
    while (wanted == CONTENT_BYTES_MAX && text.size < wanted)
        append_text(&text, ".");
    struct trillium_bytes content = {arena_copy(arena, text.data, text.size), text.size};
    buffer_free(&text);
    return content;
}

/* The names of channel and author, as other stores' exports carry them. */
static struct trillium_bytes make_extra(unsigned channel, const char *author, struct arena *arena)
{
    struct buffer text = {0};
    buffer_printf(&text, "{\"channel\":\"%s-%u\",\"author\":", phrases_topics[channel % phrases_topics_count], channel);
    json_append_string(&text, bytes_text(author));
    buffer_append(&text, "}", 1);
    struct trillium_bytes extra = {arena_copy(arena, text.data, text.size), text.size};
    buffer_free(&text);
    return extra;
}

static void add_columns(
    struct generator *generator, unsigned channel, struct arena *arena, struct trillium_message *out)
{
    struct prng *prng = &generator->prng;
    if (generator->newest[channel] && prng_chance(prng, 80000)) {
        out->has |= TRILLIUM_HAS_REFERENCE;
        out->reference_id = (int64_t)generator->newest[channel];
    }
    if (prng_chance(prng, 30000)) {
        out->has |= TRILLIUM_HAS_EDITED_AT;
        out->edited_at_ms = generator->now_ms + (int64_t)prng_below(prng, 600000);
    }
    if (prng_chance(prng, 20000)) {
        out->has |= TRILLIUM_HAS_TYPE | TRILLIUM_HAS_FLAGS;
        out->type = (int32_t)prng_below(prng, 20);
        out->flags = (int64_t)(prng_next(prng) >> 20);
    }
    if (out->content.size == 0 || prng_chance(prng, 10000)) {
        size_t size = (size_t)prng_between(prng, 0, 200);
        uint8_t *data = arena_alloc(arena, size + 1);
        prng_fill(prng, data, size);
        out->attachments = (struct trillium_bytes){data, size};
    }
}

void generator_next(struct generator *generator, struct arena *arena, struct trillium_message *out)
{
    struct prng *prng = &generator->prng;
    unsigned channel = choose_channel(generator);
    unsigned author = (unsigned)prng_below(prng, AUTHORS);
    /* A channel has a language; now and then somebody speaks another. */
    uint64_t tongue = hash_u64(channel + 1) % 16;
    if (tongue >= PHRASES_LANGUAGES || prng_chance(prng, 50000))
        tongue = prng_chance(prng, 600000) ? 0 : prng_below(prng, PHRASES_LANGUAGES);
    generator->now_ms += (int64_t)prng_below(prng, GAP_MS_MAX);
    *out = (struct trillium_message){.channel_id = (hash_u64(generator->seed * 1000003 + channel) >> 2) | 1,
        .message_id = snowflake_make(generator->now_ms, MAKER, (uint8_t)(generator->count % SNOWFLAKE_SEQUENCES)),
        .author_id = (int64_t)(1000000 + author)};
    generator->count++;
    out->content = make_content(generator, &phrases[tongue], arena);
    out->extra = make_extra(channel, phrases_names[author % phrases_names_count], arena);
    add_columns(generator, channel, arena, out);
    generator->newest[channel] = out->message_id;
}
