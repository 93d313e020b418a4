/* Which route takes a request, and how requests are counted by route. The tables are short (tens of
 * routes), so a walk over them, comparing the number of segments first, is the index.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_server_internal.h"
#include "schemas/mem.h"

#include <assert.h>
#include <stdlib.h>

/* The last one stands for every other method, so that a client cannot make up metrics. */
static const char *const methods[HTTP_METHODS_KNOWN + 1] = {
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"
};

enum { LABELS_MAX = 512 };

size_t http_method_index(const char *method)
{
    size_t i = 0;
    while (i < HTTP_METHODS_KNOWN && strcmp(methods[i], method) != 0)
        i++;
    return i;
}

static bool is_param(struct span segment)
{
    const char *text = segment.data;
    return segment.size > 2 && text[0] == '{' && text[segment.size - 1] == '}';
}

static const char *pattern_of(const struct http_route_compiled *compiled)
{
    return compiled->route ? compiled->route->path : "none";
}

static void add_segment(struct http_route_compiled *compiled, struct span segment)
{
    assert(compiled->segment_count < HTTP_SEGMENTS_MAX);
    if (is_param(segment)) {
        assert(compiled->param_count < HTTP_PARAMS_MAX);
        compiled->params[compiled->param_count++] = compiled->segment_count;
    }
    compiled->segments[compiled->segment_count++] = segment;
}

static void split_path(struct http_route_compiled *compiled, const char *path)
{
    assert(*path == '/');
    for (const char *begin = path; begin;) {
        const char *end = strchr(++begin, '/');
        size_t size = end ? (size_t)(end - begin) : strlen(begin);
        add_segment(compiled, (struct span){ .data = begin, .size = size });
        begin = end;
    }
}

static void compile(struct http_route_compiled *compiled, const struct http_route *route,
                    struct metrics *metrics)
{
    compiled->route = route;
    if (route)
        split_path(compiled, route->path);
    struct buf labels = BUF_INIT(LABELS_MAX);
    metrics_label(&labels, "route", span_of(pattern_of(compiled)));
    compiled->seconds = metrics_histogram(metrics, "errand_http_request_seconds",
                                          "From the request line to the answer.", labels.data,
                                          metrics_latency_bounds, metrics_latency_bound_count);
    buf_free(&labels);
}

void http_routes_init(struct http_routes *routes, const struct http_route *table, size_t count,
                      struct metrics *metrics)
{
    *routes = (struct http_routes){ .metrics = metrics, .count = count };
    routes->items = mem_zalloc(count, sizeof *routes->items);
    for (size_t i = 0; i < count; i++)
        compile(&routes->items[i], &table[i], metrics);
    compile(&routes->none, NULL, metrics);
}

void http_routes_clear(struct http_routes *routes)
{
    for (size_t i = 0; i < routes->count; i++)
        free(routes->items[i].counts);
    free(routes->none.counts);
    free(routes->items);
}

static bool path_fits(const struct http_route_compiled *compiled, const struct http_target *target)
{
    if (compiled->segment_count != target->segment_count)
        return false;
    for (size_t i = 0, param = 0; i < compiled->segment_count; i++) {
        if (param < compiled->param_count && compiled->params[param] == i) {
            param++;
            if (target->segments[i].size == 0)
                return false;
        } else if (!span_eq(compiled->segments[i], target->segments[i])) {
            return false;
        }
    }
    return true;
}

static bool method_fits(const char *wanted, const char *method)
{
    return strcmp(wanted, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(wanted, "GET") == 0);
}

static void add_allowed(struct buf *allow, const char *method)
{
    if (allow->size)
        buf_add_text(allow, ", ");
    buf_add_text(allow, method);
    if (strcmp(method, "GET") == 0)
        buf_add_text(allow, ", HEAD");
}

enum err_code http_routes_find(struct http_routes *routes, const char *method,
                               const struct http_target *target,
                               struct http_route_compiled **ret_route, struct buf *ret_allow)
{
    for (size_t i = 0; i < routes->count; i++) {
        struct http_route_compiled *compiled = &routes->items[i];
        if (!path_fits(compiled, target))
            continue;
        if (method_fits(compiled->route->method, method)) {
            *ret_route = compiled;
            return ERR_OK;
        }
        add_allowed(ret_allow, compiled->route->method);
    }
    if (!ret_allow->size)
        return ERR_NOT_FOUND;
    add_allowed(ret_allow, "OPTIONS");
    return ERR_METHOD_NOT_ALLOWED;
}

/* The counter of (route, method, status). Kept by the route: it is asked for at each request. */
static struct metric *total_of(struct http_routes *routes, struct http_route_compiled *compiled,
                               size_t method, int status)
{
    for (size_t i = 0; i < compiled->count_count; i++) {
        const struct http_route_count *count = &compiled->counts[i];
        if (count->method == method && count->status == status)
            return count->total;
    }
    struct buf labels = BUF_INIT(LABELS_MAX);
    metrics_label(&labels, "method", span_of(methods[method]));
    metrics_label(&labels, "route", span_of(pattern_of(compiled)));
    struct buf number = BUF_INIT(16);
    buf_add_int(&number, status);
    metrics_label(&labels, "status", buf_span(&number));
    struct metric *total = metrics_counter(routes->metrics, "errand_http_requests_total",
                                           "Requests answered.", labels.data);
    compiled->counts =
        mem_resize(compiled->counts, compiled->count_count + 1, sizeof *compiled->counts);
    compiled->counts[compiled->count_count++] =
        (struct http_route_count){ .method = method, .status = status, .total = total };
    buf_free(&number);
    buf_free(&labels);
    return total;
}

void http_routes_observe(struct http_routes *routes, struct http_route_compiled *route,
                         size_t method, int status, int64_t took_us)
{
    if (!route)
        route = &routes->none;
    metric_add(total_of(routes, route, method, status), 1);
    metric_observe(route->seconds, (double)took_us / 1e6);
}
