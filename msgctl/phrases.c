#include "msgctl/phrases.h"

static const char *const english[] = {"good morning everyone", "has anybody seen the new build?",
    "it works on my machine", "I'll have a look after lunch", "that is a nice idea", "can you send me the link again?",
    "lol", "see you tomorrow", "who broke the tests?", "sorry, that was me", "thanks, that helped a lot",
    "does this happen to anybody else?", "we should write that down somewhere",
    "I'm not sure that I understand the question", "+1", "brb"};
static const char *const german[] = {"guten Morgen zusammen", "hat jemand den neuen Build gesehen?", "bei mir läuft es",
    "ich schaue nach dem Essen mal rein", "schöne Idee", "kannst du mir den Link noch mal schicken?", "haha",
    "bis morgen", "wer hat die Tests kaputt gemacht?", "das war ich, Entschuldigung", "danke, das hat sehr geholfen",
    "passiert das noch jemandem?"};
static const char *const french[] = {"bonjour à tous", "quelqu'un a vu la nouvelle version ?", "chez moi ça marche",
    "je regarde après le déjeuner", "très bonne idée", "tu peux me renvoyer le lien ?", "mdr", "à demain",
    "qui a cassé les tests ?", "désolé, c'était moi", "merci, ça m'a beaucoup aidé"};
static const char *const spanish[] = {"buenos días a todos", "¿alguien ha visto la nueva versión?",
    "en mi máquina funciona", "lo miro después de comer", "¡qué buena idea!", "¿me mandas otra vez el enlace?",
    "jajaja", "hasta mañana", "¿quién rompió las pruebas?", "perdón, fui yo", "gracias, me ayudó mucho"};
static const char *const portuguese[] = {"bom dia, pessoal", "alguém viu a versão nova?", "na minha máquina funciona",
    "vejo isso depois do almoço", "boa ideia", "manda o link de novo?", "kkkk", "até amanhã", "quem quebrou os testes?",
    "desculpa, fui eu", "obrigado, ajudou muito"};
static const char *const russian[] = {"всем доброе утро", "кто-нибудь видел новую сборку?", "у меня работает",
    "посмотрю после обеда", "отличная идея", "пришли ссылку ещё раз, пожалуйста", "ахаха", "до завтра",
    "кто сломал тесты?", "извините, это я", "спасибо, очень помогло"};
static const char *const japanese[] = {"おはようございます", "新しいビルド、見ましたか？", "私の環境では動きます",
    "お昼のあとで確認します", "いいですね", "リンクをもう一度送ってもらえますか？", "笑", "また明日",
    "テストを壊したのは誰ですか？", "すみません、私です", "ありがとうございます、助かりました"};
static const char *const chinese[] = {"大家早上好", "有人看到新版本了吗？", "在我这里可以运行", "我午饭后看一下",
    "好主意", "能再发一次链接吗？", "哈哈哈", "明天见", "谁把测试弄坏了？", "对不起，是我", "谢谢，帮了大忙"};
static const char *const arabic[] = {"صباح الخير جميعا", "هل رأى أحد الإصدار الجديد؟", "يعمل عندي",
    "سألقي نظرة بعد الغداء", "فكرة جميلة", "هل يمكنك إرسال الرابط مرة أخرى؟", "هههه", "أراكم غدا", "من كسر الاختبارات؟",
    "آسف، كنت أنا", "شكرا، ساعدني كثيرا"};
static const char *const hindi[] = {"सबको सुप्रभात", "मेरे यहाँ चल रहा है", "अच्छा विचार है", "माफ़ करना, मैंने"};

#define LANGUAGE(name)                                                                                                 \
    {                                                                                                                  \
#name, sizeof name / sizeof *name, name                                                                        \
    }
const struct phrases phrases[PHRASES_LANGUAGES] = {LANGUAGE(english), LANGUAGE(german), LANGUAGE(french),
    LANGUAGE(spanish), LANGUAGE(portuguese), LANGUAGE(russian), LANGUAGE(japanese), LANGUAGE(chinese), LANGUAGE(arabic),
    LANGUAGE(hindi)};

const char *const phrases_names[] = {"ada", "björn", "chidi", "daphné", "emre", "farida", "goran", "hana", "isabel",
    "jun", "kateryna", "lars", "mei", "noor", "olu", "priya", "quentin", "ravi", "søren", "tomás", "uma", "víctor",
    "wei", "ximena", "yuki", "zoë"};
const unsigned phrases_names_count = sizeof phrases_names / sizeof *phrases_names;

const char *const phrases_topics[] = {"general", "help", "random", "music", "releases", "games", "design", "off-topic",
    "food", "travel", "databases", "cats"};
const unsigned phrases_topics_count = sizeof phrases_topics / sizeof *phrases_topics;

const char *const phrases_emoji[] = {
    "😀", "😂", "👍", "🎉", "🤔", "❤️", "👩‍💻", "🇧🇷", "🫠", "𝄞", "🏳️‍🌈", "👋🏽"};
const unsigned phrases_emoji_count = sizeof phrases_emoji / sizeof *phrases_emoji;

const char phrases_code[] = "```c\nfor (int i = 0; i < n; i++)\n\tprintf(\"%d\\n\", a[i]); // \\o/\n```";
