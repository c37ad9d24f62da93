import contextlib
import http.server
import json
import socket
import threading
import tracemalloc
import unittest

from dicom_qr_gateway import Gateway, IncompleteError, ProblemError, ReplyError, Retry

HEADER = 'multipart/related; type="application/dicom"; boundary=b'
DICOM = "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
CLOSING = b"--b--\r\n"
MISSING = b'{"code": "retrieve_incomplete", "missing_sop_instance_uids": ["1.2.3.4", "1.2.3.5"]}'
OPEN = b"--b\r\nContent-Type: application/dicom\r\n\r\n"


def part(content_type, body):
    return f"--b\r\nContent-Type: {content_type}\r\n\r\n".encode() + body + b"\r\n"


ONE = part(DICOM, b"one")


@contextlib.contextmanager
def serving(body, status=200, content_type=HEADER, size=None, cut=False, length=None, headers=(), retry=None):
    """A gateway for a server that answers with the body, in chunks of a size or with a Content-Length, and may break off."""
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            requests.append((self.command, self.path, self.headers))
            self.send_response(503 if retry and len(requests) == 1 else status)
            self.send_header("Content-Type", content_type)
            for name, value in headers:
                self.send_header(name, value)
            if length is not None:
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.close_connection = True
            step = size or max(len(body), 1)
            with contextlib.suppress(ConnectionError):  # the client leaves
                for at in range(0, len(body), step):
                    piece = body[at : at + step]
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                if not cut:
                    self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Gateway(f"http://127.0.0.1:{server.server_port}", retry=retry), requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def files(gateway, **options):
    with gateway.retrieve_instances("main", "1.2.3", **options) as instances:
        return [(instance.transfer_syntax, instance.read()) for instance in instances]


class InstancesTest(unittest.TestCase):
    def test_instances_arrive_one_by_one_however_the_answer_is_cut(self):
        contents = [b"one", b"", b"\r\n--two\r\n-\r\n--bc", b"\r\n\r\n-", b"x" * 100]
        body = b"".join(part(DICOM, content) for content in contents) + CLOSING
        for size in (1, 2, 3, 7, 64, None):
            with self.subTest(size=size), serving(body, size=size) as (gateway, _):
                self.assertEqual(files(gateway), [("1.2.840.10008.1.2.1", content) for content in contents])

    def test_instances_may_be_read_in_part_or_in_pieces(self):
        contents = [b"a" * 300_000, b"b" * 300_000, b"c" * 300_000, b"d"]
        body = b"".join(part("application/dicom", content) for content in contents) + CLOSING
        with serving(body, size=50_000) as (gateway, _), gateway.retrieve_instances("main", "1.2.3") as instances:
            first = next(instances)
            self.assertIsNone(first.transfer_syntax)
            self.assertEqual(first.read(10), b"a" * 10)
            self.assertEqual(next(next(instances).pieces())[:3], b"bbb")
            third = next(instances)
            self.assertEqual(third.read(1) + b"".join(third.pieces()), contents[2])
            self.assertEqual(third.read(1), b"")
            self.assertTrue(next(instances).readable())
            self.assertEqual(list(instances), [])
            self.assertEqual(list(instances), [])

    def test_every_incomplete_answer_raises_incomplete_error(self):
        problem = part("application/problem+json", MISSING)
        uids = ["1.2.3.4", "1.2.3.5"]
        for name, body, received, missing, options in (
            ("broken off before the first part", b"", 0, [], {"cut": True}),
            ("broken off inside an instance", ONE + OPEN + b"two", 1, [], {"cut": True}),
            ("broken off inside a header", ONE + b"--b\r\nContent-Ty", 1, [], {"cut": True}),
            ("broken off between instances", ONE, 0, [], {"cut": True}),
            ("broken off after the closing boundary", ONE + CLOSING, 1, [], {"cut": True}),
            ("ended without the closing boundary", ONE, 0, [], {}),
            ("ended inside an instance", ONE + OPEN + b"two", 1, [], {}),
            ("ended inside the closing boundary", ONE + b"--b-", 0, [], {}),
            ("ended without a byte", b"", 0, [], {}),
            ("too short", ONE + OPEN + b"two", 1, [], {"length": 1000}),
            ("without an instance", CLOSING, 0, [], {}),
            ("with a last part", ONE + problem + CLOSING, 1, uids, {}),
            ("with a last part, 206", ONE + problem + CLOSING, 1, uids, {"status": 206}),
            ("with a malformed last part", ONE + part("application/problem+json", b"{") + CLOSING, 1, [], {}),
            ("with a last part without a list", ONE + part("application/problem+json", b"[]") + CLOSING, 1, [], {}),
            ("with status 206", ONE + CLOSING, 1, [], {"status": 206}),
            ("with an endless header", ONE + b"--b\r\n" + b"x" * 20_000 + b"\r\n\r\n" + CLOSING, 1, [], {}),
            ("that goes on", ONE + CLOSING + b"x" * 10_000, 1, [], {}),
        ):
            for size in (None, 3):
                with self.subTest(name=name, size=size), serving(body, size=size, **options) as (gateway, _):
                    with self.assertRaises(IncompleteError) as caught:
                        files(gateway)
                    self.assertEqual(caught.exception.received, received)
                    self.assertEqual(caught.exception.missing_sop_instance_uids, missing)
                    self.assertIn(f"incomplete (instances received: {received}", str(caught.exception))

    def test_answers_of_other_servers_raise_reply_error(self):
        for body, content_type in ((part("text/plain", b"hello") + CLOSING, HEADER), (b"<html>", "text/html"), (b"", "multipart/related")):
            with self.subTest(content_type=content_type), serving(body, content_type=content_type) as (gateway, _):
                self.assertRaises(ReplyError, files, gateway)

    def test_a_failure_before_the_first_instance_raises_problem_error(self):
        problem = json.dumps({"code": "connection_refused", "detail": "Nothing listens.", "status": 502}).encode()
        with serving(problem, 502, "application/problem+json") as (gateway, _):
            with self.assertRaises(ProblemError) as caught:
                files(gateway)
        self.assertEqual(caught.exception.code, "connection_refused")

    def test_a_refused_retrieval_is_repeated(self):
        with serving(ONE + CLOSING, headers=[("Retry-After", "0")], retry=Retry(attempts=2, max_wait=1)) as (gateway, requests):
            self.assertEqual(len(files(gateway)), 1)
            self.assertEqual(len(requests), 2)

    def test_requests_name_the_target_and_what_the_caller_accepts(self):
        with serving(ONE + CLOSING) as (gateway, requests):
            files(gateway, transfer_syntax="1.2.840.10008.1.2.1", lenient=True, correlation_id="order-4711")
            files(gateway, series="2", instance="3/..")
        accept = 'multipart/related; type="application/dicom"; transfer-syntax='
        seen = [(path, headers["Accept"], headers["Prefer"], headers["X-Correlation-ID"]) for _, path, headers in requests]
        self.assertEqual(seen, [
            ("/dicomweb/main/studies/1.2.3", accept + "1.2.840.10008.1.2.1", "handling=lenient", "order-4711"),
            ("/dicomweb/main/studies/1.2.3/series/2/instances/3%2F..", accept + "*", None, None),
        ])


class CloseTest(unittest.TestCase):
    """Each test has a server whose instance never ends."""

    def setUp(self):
        test, self.disconnected = self, threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", HEADER)
                self.end_headers()
                self.wfile.write(OPEN)
                threading.Thread(target=self.watch).start()
                block = bytes(1 << 20)
                with contextlib.suppress(OSError):
                    while True:
                        self.wfile.write(block)

            def watch(self):
                with contextlib.suppress(OSError):
                    self.rfile.read(1)  # returns as soon as the client closes its direction, as the gateway notices it
                test.disconnected.set()
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.gateway = Gateway(f"http://127.0.0.1:{server.server_port}")

    def assert_disconnected(self):
        self.assertTrue(self.disconnected.wait(10))

    def test_leaving_the_with_statement_ends_the_retrieval(self):
        with self.gateway.retrieve_instances("main", "1.2.3") as instances:
            self.assertEqual(len(next(instances).read(1000)), 1000)
        self.assert_disconnected()
        with self.assertRaises(IncompleteError) as caught:
            next(instances)
        self.assertEqual(caught.exception.received, 0)

    def test_leaving_a_loop_ends_the_retrieval(self):
        for _ in self.gateway.retrieve_instances("main", "1.2.3"):
            break
        self.assert_disconnected()

    def test_close_ends_the_wait_of_another_thread(self):
        instances, raised, begun = self.gateway.retrieve_instances("main", "1.2.3"), [], threading.Event()

        def consume():
            try:
                for piece in next(instances).pieces():
                    begun.set()
            except Exception as error:
                raised.append(error)

        thread = threading.Thread(target=consume)
        thread.start()
        self.assertTrue(begun.wait(10))
        instances.close()
        instances.close()
        thread.join(10)
        self.assertIsInstance(raised[0], IncompleteError)
        self.assert_disconnected()

    def test_instances_are_not_kept_in_memory(self):
        with self.gateway.retrieve_instances("main", "1.2.3") as instances:
            pieces = next(instances).pieces()
            tracemalloc.start()
            self.addCleanup(tracemalloc.stop)
            received = 0
            while received < 32 << 20:
                received += len(next(pieces))
            _, peak = tracemalloc.get_traced_memory()
        self.assertLess(peak, 8 << 20)  # the server is in this process


if __name__ == "__main__":
    unittest.main()
