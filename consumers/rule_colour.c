/* colour.mix: what colours give when their light is mixed.
 *
 *   {"colours":["#ff0000","blue"],"weights":[1,3]}
 *
 * sRGB values are not amounts of light: they are gamma-encoded (IEC 61966-2-1), and averaging
 * them as they are makes mixtures too dark. So each is decoded to linear light, the light is
 * averaged, and the result is encoded again.
 *
 * Worked example 1, the payload above: red is (1, 0, 0), blue (0, 0, 1), so the light is
 *   (0.25, 0, 0.75), encoded 1.055 * 0.25^(1/2.4) - 0.055 = 0.5371 -> 137, and
 *   0.75 -> 0.8808 -> 225: #8900e1.
 *
 * Worked example 2, {"colours":["black","white"]}: half the light is 0.5 -> 0.7354 -> 188:
 *   #bcbcbc, where the naive average would have said #808080 (a fifth of the light).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/rule_fields.h"
#include "consumers/rules.h"
#include "schemas/json.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define COLOURS_MAX      64
#define COLOUR_BYTES_MAX 16
#define WEIGHT_MAX       1000000

struct rgb {
    int red, green, blue; /* 0 to 255, gamma-encoded */
};
struct light {
    double red, green, blue; /* 0 to 1, linear */
};

/* The sixteen basic colours of CSS. */
static const struct named {
    const char *name;
    struct rgb rgb;
} basics[] = {
    { "black", { 0, 0, 0 } },       { "silver", { 192, 192, 192 } }, { "gray", { 128, 128, 128 } },
    { "white", { 255, 255, 255 } }, { "maroon", { 128, 0, 0 } },     { "red", { 255, 0, 0 } },
    { "purple", { 128, 0, 128 } },  { "fuchsia", { 255, 0, 255 } },  { "green", { 0, 128, 0 } },
    { "lime", { 0, 255, 0 } },      { "olive", { 128, 128, 0 } },    { "yellow", { 255, 255, 0 } },
    { "navy", { 0, 0, 128 } },      { "blue", { 0, 0, 255 } },       { "teal", { 0, 128, 128 } },
    { "aqua", { 0, 255, 255 } },
};

static double decode(int value)
{
    double v = value / 255.0;
    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static int encode(double light)
{
    double v = light <= 0.0031308 ? light * 12.92 : 1.055 * pow(light, 1 / 2.4) - 0.055;
    return (int)lround(v * 255);
}

static struct light light_of(const struct rgb *rgb)
{
    return (struct light){ decode(rgb->red), decode(rgb->green), decode(rgb->blue) };
}

/* --- reading --- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "#rrggbb" or "#rgb" */
static bool parse_hex(struct span text, struct rgb *ret_rgb)
{
    const char *p = text.data;
    size_t width = text.size == 7 ? 2 : 1;
    int *const parts[] = { &ret_rgb->red, &ret_rgb->green, &ret_rgb->blue };
    if ((text.size != 7 && text.size != 4) || p[0] != '#')
        return false;
    for (size_t i = 0; i < 3; i++) {
        int high = hex_digit(p[1 + i * width]);
        int low = hex_digit(p[i * width + width]);
        if (high < 0 || low < 0)
            return false;
        *parts[i] = high * 16 + low;
    }
    return true;
}

static bool parse_name(struct span text, struct rgb *ret_rgb)
{
    for (size_t i = 0; i < COUNT(basics); i++) {
        if (strlen(basics[i].name) == text.size &&
            strncasecmp(basics[i].name, text.data, text.size) == 0) {
            *ret_rgb = basics[i].rgb;
            return true;
        }
    }
    return false;
}

struct palette {
    const struct json *colours;
    const struct json *weights; /* NULL: all alike */
    size_t count;
};

static enum err_code take_palette(const struct rule_fields *fields, struct palette *palette)
{
    size_t weight_count = 0;
    enum err_code code =
        rule_fields_list(fields, "colours", COLOURS_MAX, &palette->colours, &palette->count);
    if (code || !rule_fields_has(fields, "weights"))
        return code;
    code = rule_fields_list(fields, "weights", COLOURS_MAX, &palette->weights, &weight_count);
    if (code == ERR_OK && weight_count != palette->count)
        code = rule_fields_refuse(
            fields, "weights", "must have one entry for each of the %zu colours", palette->count);
    return code;
}

static enum err_code take_colour(const struct rule_fields *fields, const struct palette *palette,
                                 size_t i, struct rgb *ret_rgb)
{
    char name[32];
    struct span text;
    snprintf(name, sizeof name, "colours[%zu]", i);
    enum err_code code =
        rule_fields_take_text(fields, name, json_at(palette->colours, i), COLOUR_BYTES_MAX, &text);
    if (code == ERR_OK && !parse_hex(text, ret_rgb) && !parse_name(text, ret_rgb))
        code = rule_fields_refuse(
            fields, name,
            "must be like \"#ff8800\" or \"#f80\", or a basic CSS colour such as \"teal\"");
    return code;
}

static enum err_code take_weight(const struct rule_fields *fields, const struct palette *palette,
                                 size_t i, int64_t *ret_weight)
{
    static const int64_t range[2] = { 0, WEIGHT_MAX };
    char name[32];
    if (!palette->weights) {
        *ret_weight = 1;
        return ERR_OK;
    }
    snprintf(name, sizeof name, "weights[%zu]", i);
    return rule_fields_take_integer(fields, name, json_at(palette->weights, i), range, ret_weight);
}

/* --- mixing --- */

static enum err_code mix(const struct rule_fields *fields, const struct palette *palette,
                         struct light *ret_light)
{
    struct light sum = { 0 };
    int64_t weights = 0;
    for (size_t i = 0; i < palette->count; i++) {
        struct rgb rgb;
        int64_t weight = 0;
        enum err_code code = take_colour(fields, palette, i, &rgb);
        if (code == ERR_OK)
            code = take_weight(fields, palette, i, &weight);
        if (code)
            return code;
        struct light light = light_of(&rgb);
        sum.red += light.red * (double)weight;
        sum.green += light.green * (double)weight;
        sum.blue += light.blue * (double)weight;
        weights += weight;
    }
    if (weights == 0)
        return rule_fields_refuse(fields, "weights", "must not all be 0");
    double whole = (double)weights;
    *ret_light = (struct light){ sum.red / whole, sum.green / whole, sum.blue / whole };
    return ERR_OK;
}

/* --- describing --- */

/* Oklab (Ottosson, 2020): a space in which distance is about what an eye sees as difference. */
static void to_oklab(const struct light *light, double ret_lab[3])
{
    double l =
        cbrt(0.4122214708 * light->red + 0.5363325363 * light->green + 0.0514459929 * light->blue);
    double m =
        cbrt(0.2119034982 * light->red + 0.6806995451 * light->green + 0.1073969566 * light->blue);
    double s =
        cbrt(0.0883024619 * light->red + 0.2817188376 * light->green + 0.6299787005 * light->blue);
    ret_lab[0] = 0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s;
    ret_lab[1] = 1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s;
    ret_lab[2] = 0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s;
}

static const char *nearest_basic(const struct light *light)
{
    double lab[3];
    double best = HUGE_VAL;
    const char *name = NULL;
    to_oklab(light, lab);
    for (size_t i = 0; i < COUNT(basics); i++) {
        struct light other_light = light_of(&basics[i].rgb);
        double other[3];
        to_oklab(&other_light, other);
        double distance = hypot(hypot(lab[0] - other[0], lab[1] - other[1]), lab[2] - other[2]);
        if (distance < best) {
            best = distance;
            name = basics[i].name;
        }
    }
    return name;
}

/* WCAG 2.2: relative luminance, and the contrast ratio of black or white text on it, whichever
 * reads better. */
static void write_text_colour(const struct light *light, struct buf *out)
{
    double luminance = 0.2126 * light->red + 0.7152 * light->green + 0.0722 * light->blue;
    double on_black = (luminance + 0.05) / 0.05;
    double on_white = 1.05 / (luminance + 0.05);
    bool black = on_black >= on_white;
    /* Cut, not rounded: a ratio just below a limit must not seem to reach it. */
    double ratio = floor((black ? on_black : on_white) * 100) / 100;
    buf_printf(out, "\"text\":\"%s\",\"contrast\":%.2f", black ? "#000000" : "#ffffff", ratio);
}

enum err_code rule_colour_run(const struct rule_input *input, struct buf *ret_result,
                              struct err *err)
{
    static const char *const names[] = { "colours", "weights", NULL };
    struct rule_fields fields = { .place = "", .err = err };
    struct palette palette = { 0 };
    struct light light = { 0 };
    enum err_code code = rule_fields_open(&fields, input->payload, names);
    if (code == ERR_OK)
        code = take_palette(&fields, &palette);
    if (code == ERR_OK)
        code = mix(&fields, &palette, &light);
    if (code)
        return code;
    struct rgb rgb = { encode(light.red), encode(light.green), encode(light.blue) };
    buf_printf(ret_result, "{\"hex\":\"#%02x%02x%02x\"", (unsigned)rgb.red, (unsigned)rgb.green,
               (unsigned)rgb.blue);
    buf_printf(ret_result, ",\"rgb\":[%d,%d,%d],", rgb.red, rgb.green, rgb.blue);
    /* Described as it will be shown, not as it was before rounding. */
    light = light_of(&rgb);
    buf_printf(ret_result, "\"nearest\":\"%s\",", nearest_basic(&light));
    write_text_colour(&light, ret_result);
    buf_add_char(ret_result, '}');
    return ERR_OK;
}
