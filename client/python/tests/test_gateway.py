import contextlib
import http.server
import json
import threading
import unittest

from dicom_qr_gateway import (
    CutOffError,
    Gateway,
    GatewayError,
    Matched,
    ProblemError,
    Progress,
    ReplyError,
    Result,
    Retrieved,
)

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
            self.answer(json.loads(request))

        def do_GET(self):
            self.answer(None)

        def answer(self, request):
            requests.append((self.path, dict(self.headers), request))
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
    def test_search_sends_the_parameters_and_returns_the_matches(self):
        found = [{"00100020": {"vr": "LO", "Value": ["1112223333"]}}]
        with serving(json.dumps(found), content_type="application/dicom+json") as (gateway, requests):
            parameters = {"PatientID": "1112223333", "includefield": ["StudyDescription", "00080080"], "limit": 1}
            self.assertEqual(gateway.search("orthanca", "studies", parameters), found)
            self.assertEqual(gateway.search("orthanca"), found)
        path, headers, body = requests[0]
        self.assertEqual(
            path,
            "/dicomweb/orthanca/studies?PatientID=1112223333&includefield=StudyDescription&includefield=00080080&limit=1",
        )
        self.assertEqual(headers["Accept"], "application/dicom+json")
        self.assertIsNone(body)
        self.assertEqual(requests[1][0], "/dicomweb/orthanca/studies")

    def test_search_refuses_what_is_no_list(self):
        for body in ("{}", "[", "null"):
            with serving(body, content_type="application/dicom+json") as (gateway, _), self.assertRaises(ReplyError):
                gateway.search("orthanca")

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
                    self.assertIsInstance(caught.exception, GatewayError)
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
            with gateway.follow(REQUEST) as events:
                yield from events
            self.assertEqual(requests[0][1]["Accept"], "text/event-stream")

    def test_events_up_to_the_result(self):
        stream = event("matched", STUDIES) + ": alive\n\n" + event("news", {}) + event("progress", {"completed": 1})
        stream += event("retrieved", {"status": "ok"}) + event("result", MOVED) + "event: progress\ndata: ?\n\n"
        want = [Matched(STUDIES), Progress({"completed": 1}), Retrieved({"status": "ok"}), Result(MOVED)]
        for text in (stream, stream.replace("\n", "\r\n"), stream.replace(": ", ":")):
            self.assertEqual(list(self.follow(text)), want)

    def test_error_event_raises_problem_error(self):
        events = self.follow(event("matched", STUDIES) + event("error", PROBLEM))
        self.assertEqual(next(events), Matched(STUDIES))
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


class CloseTest(unittest.TestCase):
    """Each test has a server that sends one event, then waits for the client to close the connection."""

    def setUp(self):
        test, self.disconnected = self, threading.Event()
        self.asked = threading.Event()
        self.stream = event("matched", STUDIES)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                test.asked.set()
                if test.stream:
                    self.send_response(200)
                    self.send_header("Content-Type", "text/event-stream")
                    self.end_headers()
                    self.wfile.write(test.stream.encode())
                with contextlib.suppress(ConnectionError):
                    self.rfile.read()
                test.disconnected.set()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.gateway = Gateway(f"http://127.0.0.1:{server.server_port}")

    def assert_disconnected(self):
        self.assertTrue(self.disconnected.wait(10))

    def test_leaving_the_with_statement_closes_the_connection(self):
        with self.gateway.follow(REQUEST) as events:
            for event in events:
                self.assertEqual(event, Matched(STUDIES))
                break
        self.assert_disconnected()
        self.assertRaises(CutOffError, next, events)

    def test_leaving_a_loop_closes_the_connection(self):
        for _ in self.gateway.follow(REQUEST):
            break
        self.assert_disconnected()

    def test_close_ends_the_wait_of_another_thread(self):
        received = threading.Event()
        for self.stream, begun, expected in ((event("matched", STUDIES), received, CutOffError), ("", self.asked, OSError)):
            self.asked.clear()
            self.disconnected.clear()
            events, raised = self.gateway.follow(REQUEST), []

            def consume(events=events, raised=raised):
                try:
                    for _ in events:
                        received.set()
                except Exception as error:
                    raised.append(error)

            thread = threading.Thread(target=consume)
            thread.start()
            self.assertTrue(begun.wait(10))
            events.close()
            thread.join(10)
            self.assertFalse(thread.is_alive())
            self.assertIsInstance(raised[0], expected)
            self.assert_disconnected()

    def test_a_stream_that_is_closed_before_its_first_step_sends_nothing(self):
        events = self.gateway.follow(REQUEST)
        events.close()
        events.close()
        self.assertRaises(CutOffError, next, events)
        self.assertFalse(self.asked.is_set())


class CompleteTest(unittest.TestCase):
    def test_a_complete_stream_ends(self):
        with serving(event("result", MOVED), content_type="text/event-stream") as (gateway, _):
            events = gateway.follow(REQUEST)
            self.assertEqual(list(events), [Result(MOVED)])
            events.close()
            self.assertEqual(list(events), [])


if __name__ == "__main__":
    unittest.main()
