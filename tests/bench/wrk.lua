-- wrk's script: POSTs the body that is given after "--", GETs if none is, and ends with one line of JSON about the answers.
-- SPDX-License-Identifier: Apache-2.0

function init(arguments)
    if arguments[1] then
        wrk.method = "POST"
        wrk.headers["Content-Type"] = "application/json"
        wrk.body = arguments[1]
    end
    request_text = wrk.format()
end

function request()
    return request_text
end

function done(summary, latency)
    local errors = summary.errors
    -- wrk counts every answer of 400 and above as an error of status.
    io.write(string.format(
        '{"accepted":%d,"seconds":%.3f,"refused":%d,"broken":%d,"timeouts":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
        summary.requests - errors.status, summary.duration / 1e6, errors.status,
        errors.connect + errors.read + errors.write, errors.timeout,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
