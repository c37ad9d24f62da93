import datetime
import http.server
import json
import threading
import unittest

from dicom_qr_gateway import CutOffError, Gateway, ProblemError, ReplyError, Result, Retry

REQUEST = {"pacs_ip": "127.0.0.1", "patient_id": "1112223333"}
STUDIES = {"study_details": [], "warnings": []}
MOVED = STUDIES | {"retrievals": []}
PROBLEM = {"status": 503, "code": "pacs_busy", "detail": "Busy."}
START = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc).timestamp()


def event(name, data):
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def busy(retry_after=None):
    return 503, "application/problem+json", retry_after, json.dumps(PROBLEM)


def limited(retry_after=None):
    return 429, "text/html", retry_after, "<h1>Slow down</h1>"


def ok(body):
    return 200, "application/json", None, json.dumps(body)


def stream(*events):
    return 200, "text/event-stream", "1", "".join(events)


class RetryTest(unittest.TestCase):
    """Each test scripts the replies of a server. log has its requests and the waits; time passes only in waits."""

    def setUp(self):
        test, self.replies, self.log, self.requests, self.time = self, [], [], [], START

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                test.log.append(self.path)
                test.requests.append((body, self.headers["Authorization"], self.headers["X-Correlation-ID"]))
                status, content_type, retry_after, text = test.replies.pop(0)
                if status == 0:
                    return  # closes the connection
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                if retry_after is not None:
                    self.send_header("Retry-After", retry_after)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_port}"

    def gateway(self, *replies, attempts=3, max_wait=60, **options):
        self.replies[:], self.log[:] = replies, []
        self.time = START
        options = {"sleep": self.sleep, "now": lambda: self.time} | options
        return Gateway(self.url, "key", retry=Retry(attempts, max_wait, **options))

    def sleep(self, seconds):
        self.time += seconds
        self.log.append(seconds)

    def test_waits_as_long_as_retry_after_asks(self):
        for replies, log in (
            ([busy("5"), busy("7")], ["/q", 5, "/q", 7, "/q"]),
            ([busy("0")], ["/q", 0, "/q"]),
            ([busy("Sat, 01 Jan 2000 00:00:30 GMT")], ["/q", 30, "/q"]),
            ([busy("Fri, 31 Dec 1999 23:59:00 GMT")], ["/q", 0, "/q"]),
            ([busy(), busy()], ["/q", 1, "/q", 2, "/q"]),
            ([busy("soon"), busy("-1")], ["/q", 1, "/q", 2, "/q"]),
            ([limited("2")], ["/q", 2, "/q"]),
            ([(503, "application/problem+json", "2", "{")], ["/q", 2, "/q"]),
        ):
            with self.subTest(log=log):
                gateway = self.gateway(*replies, ok(STUDIES))
                self.assertEqual(gateway.query(REQUEST, "order-4711"), STUDIES)
                self.assertEqual(self.log, log)
        self.assertEqual(set(map(str, self.requests)), {str((REQUEST, "Bearer key", "order-4711"))})

    def test_ends_with_the_last_refusal(self):
        for options, replies, log in (
            ({"attempts": 2}, [busy("5"), busy("5")], ["/q", 5, "/q"]),
            ({"attempts": 1}, [busy("5")], ["/q"]),
            ({"attempts": 9, "max_wait": 12}, [busy("6"), busy("6"), busy("6")], ["/q", 6, "/q", 6, "/q"]),
            ({"attempts": 9}, [busy("61")], ["/q"]),
            ({"attempts": 9}, [busy("9" * 5000)], ["/q"]),
            ({"attempts": 9}, [busy("Fri, 31 Dec 9999 23:59:59 GMT")], ["/q"]),
        ):
            with self.subTest(options=options, log=log):
                with self.assertRaises(ProblemError) as caught:
                    self.gateway(*replies, **options).query(REQUEST)
                self.assertLessEqual(caught.exception.retry_after, 86400)
                self.assertEqual((self.log, self.replies), (log, []))

    def test_is_off_by_default(self):
        self.gateway(busy("5"))
        self.assertRaises(ProblemError, Gateway(self.url).query, REQUEST)
        self.assertEqual(self.log, ["/q"])

    def test_repeats_only_refusals(self):
        others = [(status, "application/problem+json", "1", json.dumps(PROBLEM)) for status in (302, 400, 403, 404, 500, 502, 504)]
        for reply, error in [(other, ProblemError) for other in others] + [
            ((200, "text/html", "1", "<h1>Log in</h1>"), ReplyError),
            ((0, "", None, ""), OSError),
        ]:
            with self.subTest(reply=reply):
                self.assertRaises(error, self.gateway(reply).query, REQUEST)
                self.assertEqual(self.log, ["/q"])

    def test_every_call_retries(self):
        for path, call, body in (
            ("/qr", lambda gateway: gateway.retrieve(REQUEST), MOVED),
            ("/echo", lambda gateway: gateway.echo(REQUEST), {"steps": []}),
        ):
            self.assertEqual(call(self.gateway(busy("5"), ok(body))), body)
            self.assertEqual(self.log, [path, 5, path])

    def test_repeats_a_refused_stream_but_none_that_has_begun(self):
        self.assertEqual(list(self.gateway(busy("5"), stream(event("result", MOVED))).follow(REQUEST)), [Result(MOVED)])
        self.assertEqual(self.log, ["/qr", 5, "/qr"])
        for reply, error in (
            (stream(event("matched", MOVED), event("error", PROBLEM)), ProblemError),
            (stream(event("error", PROBLEM)), ProblemError),
            (stream(event("matched", MOVED)), CutOffError),
            (stream(), CutOffError),
        ):
            self.assertRaises(error, list, self.gateway(reply).follow(REQUEST))
            self.assertEqual(self.log, ["/qr"])

    def test_setting_an_event_ends_the_wait(self):
        stop = threading.Event()
        gateway = self.gateway(busy("600"), max_wait=3600, sleep=stop.wait, on_retry=lambda *_: stop.set())
        for call in (gateway.query, lambda request: list(gateway.follow(request))):
            self.replies[:] = [busy("600")]
            self.assertRaises(ProblemError, call, REQUEST)
        self.assertEqual(self.log, ["/q", "/qr"])

    def test_closing_a_stream_ends_the_wait(self):
        waiting = threading.Event()
        gateway = self.gateway(busy("600"), max_wait=3600, sleep=None, on_retry=lambda *_: waiting.set())
        events, raised = gateway.follow(REQUEST), []

        def consume():
            try:
                list(events)
            except Exception as error:
                raised.append(error)

        thread = threading.Thread(target=consume)
        thread.start()
        self.assertTrue(waiting.wait(10))
        events.close()
        thread.join(10)
        self.assertFalse(thread.is_alive())
        self.assertIsInstance(raised[0], ProblemError)
        self.assertEqual(self.log, ["/qr"])

    def test_on_retry_gets_each_refusal_and_wait(self):
        heard = []
        self.gateway(busy("5"), limited("7"), ok(STUDIES), on_retry=lambda *heard_now: heard.append(heard_now)).query(REQUEST)
        self.assertEqual(
            [(str(refusal), seconds) for refusal, seconds in heard],
            [("Busy. (pacs_busy)", 5), ("the reply is not from the gateway: status 429, content type text/html", 7)],
        )

    def test_a_retry_needs_limits(self):
        for attempts, max_wait in ((0, 60), (3, 0), (3, float("nan"))):
            self.assertRaises(ValueError, Retry, attempts, max_wait)


if __name__ == "__main__":
    unittest.main()
