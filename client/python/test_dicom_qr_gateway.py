"""Run with: python3 -m unittest discover client/python"""

import contextlib
import http.server
import json
import threading
import unittest

from dicom_qr_gateway import CutOffError, Gateway, ProblemError, ReplyError

REQUEST = {"pacs_ip": "127.0.0.1", "patient_id": "1112223333"}
STUDIES = {"study_details": [], "warnings": []}
MOVED = STUDIES | {"retrievals": []}
PROBLEM = {"status": 503, "code": "pacs_busy", "detail": "The PACS is busy."}


def event(name, data):
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


@contextlib.contextmanager
def serving(body, status=200, content_type="application/json", headers=()):
    """Runs a server with one answer. Yields a Gateway for it and the list of requests that it received."""
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            request = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((self.path, dict(self.headers), json.loads(request)))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            for header in headers:
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield Gateway(f"http://127.0.0.1:{server.server_port}/", "a long random value"), requests
        finally:
            server.shutdown()


def calls(gateway):
    return [
        lambda: gateway.query(REQUEST),
        lambda: gateway.retrieve(REQUEST),
        lambda: gateway.echo(REQUEST),
        lambda: list(gateway.follow(REQUEST)),
    ]


class GatewayTest(unittest.TestCase):
    def test_call_sends_request_and_returns_response(self):
        with serving(json.dumps(STUDIES)) as (gateway, requests):
            self.assertEqual(gateway.query(REQUEST, correlation_id="order-4711"), STUDIES)
        path, headers, body = requests[0]
        self.assertEqual((path, body), ("/q", REQUEST))
        self.assertEqual(headers["Authorization"], "Bearer a long random value")
        self.assertEqual(headers["X-Correlation-Id"], "order-4711")

    def test_problem_document_raises_problem_error(self):
        for headers, retry_after in (([("Retry-After", "7")], 7), ([], None)):
            with serving(json.dumps(PROBLEM), 503, "application/problem+json", headers) as (gateway, _):
                for call in calls(gateway):
                    with self.assertRaises(ProblemError) as caught:
                        call()
                    self.assertEqual(str(caught.exception), "The PACS is busy. (pacs_busy)")
                    self.assertEqual((caught.exception.document, caught.exception.retry_after), (PROBLEM, retry_after))

    def test_reply_of_another_server_raises_reply_error(self):
        for status, content_type, body in (
            (200, "text/html", "<h1>Log in</h1>"),
            (502, "text/html", "<h1>Bad gateway</h1>"),
            (200, "application/json", ""),
            (200, "application/json", "[]"),
            (200, "application/json", "{}"),
            (200, "application/json", '{"study_details": []}'),
            (404, "application/problem+json", "{"),
            (404, "application/problem+json", "[]"),
            (404, "application/problem+json", "{}"),
        ):
            with self.subTest(status=status, body=body), serving(body, status, content_type) as (gateway, _):
                for call in calls(gateway):
                    self.assertRaises(ReplyError, call)

    def test_redirect_is_not_followed(self):
        for status in (302, 307):
            with serving(json.dumps(STUDIES)) as (other, requests):
                location = [("Location", other._base_url + "/q")]
                with serving("", status, headers=location) as (gateway, _):
                    for call in calls(gateway):
                        self.assertRaises(ReplyError, call)
            self.assertEqual(requests, [])

    def test_malformed_base_url_raises_value_error(self):
        for url in ("", "localhost:8888", "//localhost:8888", "ftp://localhost", "http://", "http://:8888", "http://localhost:abc"):
            with self.subTest(url=url):
                self.assertRaises(ValueError, Gateway, url)


class FollowTest(unittest.TestCase):
    def follow(self, stream):
        with serving(stream, content_type="text/event-stream") as (gateway, requests):
            yield from gateway.follow(REQUEST)
            self.assertEqual(requests[0][1]["Accept"], "text/event-stream")

    def test_events_up_to_the_result(self):
        stream = event("matched", STUDIES) + ": alive\n\n" + event("news", {}) + event("progress", {"completed": 1})
        stream += event("retrieved", {"status": "ok"}) + event("result", MOVED) + "event: progress\ndata: ?\n\n"
        want = [("matched", STUDIES), ("progress", {"completed": 1}), ("retrieved", {"status": "ok"}), ("result", MOVED)]
        for text in (stream, stream.replace("\n", "\r\n"), stream.replace(": ", ":")):
            self.assertEqual(list(self.follow(text)), want)

    def test_error_event_raises_problem_error(self):
        events = self.follow(event("matched", STUDIES) + event("error", PROBLEM))
        self.assertEqual(next(events), ("matched", STUDIES))
        with self.assertRaises(ProblemError) as caught:
            next(events)
        self.assertEqual(caught.exception.code, "pacs_busy")

    def test_invalid_event_raises_reply_error(self):
        for stream in ("event: progress\ndata: ?\n\n", event("matched", {}), event("result", STUDIES), event("error", {})):
            with self.subTest(stream=stream):
                self.assertRaises(ReplyError, list, self.follow(stream))

    def test_stream_without_result_raises_cut_off_error(self):
        for stream in ("", event("matched", STUDIES), event("result", MOVED)[:-1]):
            with self.subTest(stream=stream):
                self.assertRaises(CutOffError, list, self.follow(stream))


if __name__ == "__main__":
    unittest.main()
