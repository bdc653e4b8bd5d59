/* phrases: small talk in several languages, for generated conversations. Constant data. */
#ifndef TRILLIUM_MSGCTL_PHRASES_H
#define TRILLIUM_MSGCTL_PHRASES_H

struct phrases {
    const char *language;
    unsigned count;
    const char *const *texts;
};

enum { PHRASES_LANGUAGES = 10 };
extern const struct phrases phrases[PHRASES_LANGUAGES];

extern const char *const phrases_names[];
extern const unsigned phrases_names_count;
extern const char *const phrases_topics[];
extern const unsigned phrases_topics_count;
extern const char *const phrases_emoji[];
extern const unsigned phrases_emoji_count;
extern const char phrases_code[];

#endif
