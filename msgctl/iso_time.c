#include "msgctl/iso_time.h"

#define MS_OF_YEAR_0 (-62167219200000ll)
#define MS_OF_YEAR_10000 253402300800000ll

enum { MS_OF_DAY = 86400000, DAYS_OF_ERA = 146097, DAYS_TO_1970 = 719468 };

/* Days from 0000-03-01 split as in the proleptic Gregorian calendar, whose eras are 400 years long. */
static void civil_of_days(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    days += DAYS_TO_1970;
    int64_t era = (days >= 0 ? days : days - DAYS_OF_ERA + 1) / DAYS_OF_ERA;
    unsigned of_era = (unsigned)(days - era * DAYS_OF_ERA);
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted = (5 * of_year + 2) / 153; /* months from March on */
    *day = of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = (int64_t)year_of_era + era * 400 + (*month <= 2);
}

static int64_t days_of_civil(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned year_of_era = (unsigned)(year - era * 400);
    unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    return era * DAYS_OF_ERA + (int64_t)of_era - DAYS_TO_1970;
}

static char *put_digits(char *out, unsigned number, unsigned width)
{
    for (unsigned i = width; i-- > 0; number /= 10)
        out[i] = (char)('0' + number % 10);
    return out + width;
}

bool iso_time_print(int64_t unix_ms, char out[ISO_TIME_BYTES])
{
    if (unix_ms < MS_OF_YEAR_0 || unix_ms >= MS_OF_YEAR_10000) return false;
    int64_t days = (unix_ms - MS_OF_YEAR_0) / MS_OF_DAY + MS_OF_YEAR_0 / MS_OF_DAY;
    unsigned of_day = (unsigned)(unix_ms - days * MS_OF_DAY), month, day;
    int64_t year;
    civil_of_days(days, &year, &month, &day);
    char *to = put_digits(out, (unsigned)year, 4);
    *to++ = '-';
    to = put_digits(to, month, 2);
    *to++ = '-';
    to = put_digits(to, day, 2);
    *to++ = 'T';
    to = put_digits(to, of_day / 3600000, 2);
    *to++ = ':';
    to = put_digits(to, of_day / 60000 % 60, 2);
    *to++ = ':';
    to = put_digits(to, of_day / 1000 % 60, 2);
    *to++ = '.';
    to = put_digits(to, of_day % 1000, 3);
    *to++ = 'Z';
    *to = 0;
    return true;
}

/* Exactly count digits; -1 otherwise. */
static int take_number(struct reader *reader, unsigned count)
{
    int number = 0;
    for (unsigned i = 0; i < count; i++) {
        uint8_t digit = read_u8(reader);
        if (digit < '0' || digit > '9') {
            reader_fail(reader);
            return -1;
        }
        number = number * 10 + digit - '0';
    }
    return number;
}

static void take_mark(struct reader *reader, uint8_t a, uint8_t b)
{
    uint8_t mark = read_u8(reader);
    if (mark != a && mark != b) reader_fail(reader);
}

static unsigned take_fraction_ms(struct reader *reader)
{
    unsigned ms = 0, weight = 100, count = 0;
    while (reader_left(reader) > 0 && *reader->at >= '0' && *reader->at <= '9') {
        ms += weight * (unsigned)(read_u8(reader) - '0');
        weight /= 10;
        count++;
    }
    if (count == 0) reader_fail(reader);
    return ms;
}

static int take_offset_minutes(struct reader *reader)
{
    uint8_t sign = read_u8(reader);
    if (sign == 'Z' || sign == 'z') return 0;
    if (sign != '+' && sign != '-') reader_fail(reader);
    int hours = take_number(reader, 2);
    if (reader_left(reader) > 0 && *reader->at == ':') read_u8(reader);
    int minutes = take_number(reader, 2);
    if (hours > 23 || minutes > 59) reader_fail(reader);
    return (sign == '-' ? -1 : 1) * (hours * 60 + minutes);
}

static bool is_day(int year, int month, int day)
{
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || month > 12 || day < 1) return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= lengths[month - 1] + (month == 2 && leap);
}

bool iso_time_parse(struct bytes text, int64_t *unix_ms)
{
    struct reader reader = reader_of(text);
    int year = take_number(&reader, 4);
    take_mark(&reader, '-', '-');
    int month = take_number(&reader, 2);
    take_mark(&reader, '-', '-');
    int day = take_number(&reader, 2);
    take_mark(&reader, 'T', ' ');
    int hour = take_number(&reader, 2);
    take_mark(&reader, ':', ':');
    int minute = take_number(&reader, 2);
    take_mark(&reader, ':', ':');
    int second = take_number(&reader, 2);
    unsigned ms = 0;
    if (reader_left(&reader) > 0 && *reader.at == '.') {
        read_u8(&reader);
        ms = take_fraction_ms(&reader);
    }
    int offset = take_offset_minutes(&reader);
    if (!reader_done(&reader) || !is_day(year, month, day) || hour > 23 || minute > 59 || second > 59) return false;
    int64_t seconds =
        days_of_civil(year, (unsigned)month, (unsigned)day) * 86400 + hour * 3600 + (minute - offset) * 60 + second;
    *unix_ms = seconds * 1000 + ms;
    return true;
}
