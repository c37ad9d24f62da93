import http.server
import json
import threading
import unittest

from dicom_qr_gateway import (
    CutOffError,
    Gateway,
    ItemEnded,
    ItemWaiting,
    JobChanged,
    JobFinished,
    ProblemError,
    ReplyError,
    Retry,
)

JOB = {"job": "0192f3c4", "state": "queued", "counts": {"items": 3}}
ITEM = {"item": 1, "state": "moved", "attempts": 1}


def answer(body, status=200, content_type="application/json", **headers):
    return status, content_type, headers, body if isinstance(body, str) else json.dumps(body)


def problem(status, code, **headers):
    document = {"status": status, "code": code, "detail": "It failed."}
    return answer(document, status, "application/problem+json", **headers)


def stream(*events):
    return answer("".join(events), content_type="text/event-stream")


def event(event_id, name, data):
    return f"id: {event_id}\nevent: {name}\ndata: {json.dumps(data)}\n\n"


LOST = answer("", 0)
SHOWN = ("Accept", "Content-Type", "Last-Event-ID", "X-Correlation-ID")


class JobsTest(unittest.TestCase):
    """Each test scripts the answers of a server; the last one is given again. No test waits: waits has the seconds."""

    def setUp(self):
        test, self.answers, self.requests, self.bodies, self.keys, self.waits = self, [], [], [], [], []

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                test.bodies.append(self.rfile.read(int(self.headers["Content-Length"] or 0)).decode())
                shown = [value for name in SHOWN if (value := self.headers[name]) not in (None, "application/json")]
                test.requests.append(" ".join([self.command, self.path, *shown]))
                test.keys.append(self.headers["Idempotency-Key"])
                status, content_type, headers, text = test.answers[0]
                if len(test.answers) > 1:
                    test.answers.pop(0)
                if status == 0:
                    return  # closes the connection
                self.send_response(status)
                if status != 204:
                    self.send_header("Content-Type", content_type)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_port}"

    def jobs(self, *answers, attempts=1):
        self.answers[:] = answers
        for log in (self.requests, self.bodies, self.keys, self.waits):
            log.clear()
        return Gateway(self.url, retry=Retry(attempts, 60, sleep=self.waits.append)).jobs

    def test_submits_items_as_json_or_csv(self):
        jobs = self.jobs(answer(JOB, 202))
        order = {"pacs": "orthanca", "c_move_ae_title": "ORTHANCB", "items": [{"accession_number": "ACC-1007"}]}
        self.assertEqual(jobs.submit(order, correlation_id="order-4711"), JOB)
        parameters = {"c_move_ae_title": "ORTHANCB", "dry_run": True, "window": "20:00-06:00", "not_before": None}
        self.assertEqual(jobs.submit_csv("orthanca", "patient_id\nä\n", parameters, idempotency_key="night-1"), JOB)
        self.assertEqual(jobs.submit_csv("orthanca", b"patient_id\n1\n"), JOB)
        self.assertEqual(
            self.requests,
            [
                "POST /jobs order-4711",
                "POST /jobs?pacs=orthanca&c_move_ae_title=ORTHANCB&dry_run=true&window=20%3A00-06%3A00 text/csv",
                "POST /jobs?pacs=orthanca text/csv",
            ],
        )
        self.assertEqual([json.loads(self.bodies[0]), *self.bodies[1:]], [order, "patient_id\nä\n", "patient_id\n1\n"])
        self.assertRegex(self.keys[0], "^[0-9a-f]{32}$")
        self.assertEqual(self.keys[1], "night-1")

    def test_a_submission_whose_answer_is_lost_is_sent_again_with_its_key(self):
        self.assertEqual(self.jobs(LOST, LOST, answer(JOB, 202), attempts=3).submit_csv("orthanca", "patient_id\n1\n"), JOB)
        self.assertEqual((self.waits, len(self.keys), len(set(self.keys))), ([1, 2], 3, 1))
        self.assertRaises(OSError, self.jobs(LOST, attempts=2).submit, {"pacs": "orthanca", "items": []})
        self.assertEqual((self.waits, len(self.requests)), ([1], 2))
        self.assertRaises(OSError, self.jobs(LOST).submit, {"pacs": "orthanca", "items": []})
        self.assertEqual((self.waits, len(self.requests)), ([], 1))

    def test_each_call_has_its_route(self):
        page = JOB | {"items": [ITEM], "total": 1}
        for call, reply, result, request in (
            (lambda jobs: jobs.list(), answer({"jobs": [JOB]}), {"jobs": [JOB]}, "GET /jobs"),
            (lambda jobs: jobs.list(20, 10), answer({"jobs": []}), {"jobs": []}, "GET /jobs?offset=20&limit=10"),
            (lambda jobs: jobs.get("a/b"), answer(page), page, "GET /jobs/a%2Fb"),
            (lambda jobs: jobs.get("1", state="failed", limit=1), answer(page), page, "GET /jobs/1?state=failed&limit=1"),
            (lambda jobs: jobs.csv("1"), answer("item\n1\n", content_type="text/csv"), "item\n1\n", "GET /jobs/1 text/csv"),
            (lambda jobs: jobs.cancel("1"), answer(JOB), JOB, "POST /jobs/1/cancel"),
            (lambda jobs: jobs.retry("1"), answer(JOB, 202), JOB, "POST /jobs/1/retry"),
            (lambda jobs: jobs.delete("1"), answer("", 204), None, "DELETE /jobs/1"),
        ):
            with self.subTest(request=request):
                self.assertEqual(call(self.jobs(reply)), result)
                self.assertEqual((self.requests, self.bodies), ([request], [""]))

    def test_problems_and_replies_of_others_are_raised(self):
        for call in (
            lambda jobs: jobs.submit({"pacs": "orthanca", "items": []}),
            lambda jobs: jobs.list(),
            lambda jobs: jobs.get("1"),
            lambda jobs: jobs.csv("1"),
            lambda jobs: jobs.cancel("1"),
            lambda jobs: jobs.retry("1"),
            lambda jobs: jobs.delete("1"),
            lambda jobs: list(jobs.follow("1")),
        ):
            self.assertRaises(ProblemError, call, self.jobs(problem(501, "jobs_disabled")))
            self.assertRaises(ReplyError, call, self.jobs(answer({})))
            self.assertRaises(ReplyError, call, self.jobs(answer("<h1>Log in</h1>", content_type="text/html")))

    def test_following_ends_with_the_last_event(self):
        jobs = self.jobs(
            stream(
                event(41, "job", JOB),
                ": alive\n\n",
                event(42, "waiting", ITEM),
                event(43, "later", {}),
                event(44, "item", ITEM),
                event(44, "finished", JOB),
                event(45, "item", ITEM),
            )
        )
        with jobs.follow("0192f3c4") as events:
            self.assertEqual(
                list(events),
                [JobChanged(JOB, "41"), ItemWaiting(ITEM, "42"), ItemEnded(ITEM, "44"), JobFinished(JOB, "44")],
            )
            self.assertEqual(list(events), [])
        self.assertEqual(self.requests, ["GET /jobs/0192f3c4/events text/event-stream"])

    def test_following_goes_on_after_the_last_event_when_the_connection_has_failed(self):
        jobs = self.jobs(
            stream(event(41, "job", JOB), event(42, "item", ITEM)),
            LOST,
            problem(503, "jobs_unavailable", Retry_After="7"),
            answer("<h1>Bad gateway</h1>", 502, "text/html"),
            stream(": alive\n\n"),
            stream(event(43, "item", ITEM), event(43, "finished", JOB)),
        )
        seen = [event.id for event in jobs.follow("0192f3c4", "0", "order-4711")]
        self.assertEqual(seen, ["41", "42", "43", "43"])
        asked = "GET /jobs/0192f3c4/events text/event-stream"
        self.assertEqual(self.requests, [f"{asked} 0 order-4711"] + [f"{asked} 42 order-4711"] * 5)
        self.assertEqual(self.waits, [1, 2, 7, 8, 1])

    def test_following_begins_with_the_job_as_it_is_if_the_next_event_is_gone(self):
        jobs = self.jobs(problem(410, "events_gone"), stream(event(99, "job", JOB), event(99, "finished", JOB)))
        self.assertEqual(list(jobs.follow("1", "7")), [JobChanged(JOB, "99"), JobFinished(JOB, "99")])
        self.assertEqual(self.requests, ["GET /jobs/1/events text/event-stream 7", "GET /jobs/1/events text/event-stream"])
        self.assertEqual(self.waits, [])

    def test_following_gives_up_after_about_ten_minutes(self):
        with self.assertRaises(CutOffError) as caught:
            list(self.jobs(LOST).follow("1"))
        self.assertIsInstance(caught.exception.__cause__, OSError)
        self.assertEqual((self.waits[:6], sum(self.waits)), ([1, 2, 4, 8, 16, 30], 601))

    def test_following_ends_at_once_with_a_refusal_or_a_foreign_event(self):
        for reply, error in (
            (problem(404, "job_not_found"), ProblemError),
            (problem(410, "events_gone"), ProblemError),
            (stream(event(1, "error", {"status": 500, "code": "internal_error", "detail": "It failed."})), ProblemError),
            (stream(event(1, "job", {})), ReplyError),
            (stream(event(1, "item", {})), ReplyError),
            (stream("event: item\ndata: {\n\n"), ReplyError),
        ):
            self.assertRaises(error, list, self.jobs(reply).follow("1"))
            self.assertEqual(self.waits, [])

    def test_closing_the_stream_ends_a_wait(self):
        jobs = Gateway(self.url).jobs
        self.answers[:] = [problem(503, "jobs_unavailable", Retry_After="3600")]
        events, raised = jobs.follow("1"), []

        def consume():
            try:
                list(events)
            except Exception as error:
                raised.append(error)

        thread = threading.Thread(target=consume)
        thread.start()
        while not self.requests:
            thread.join(0.01)
        events.close()
        thread.join(10)
        self.assertFalse(thread.is_alive())
        self.assertIsInstance(raised[0], CutOffError)
        self.assertRaises(CutOffError, next, events)

    def test_leaving_the_with_statement_closes_the_stream(self):
        with self.jobs(stream(event(41, "job", JOB), event(42, "item", ITEM))).follow("1") as events:
            self.assertEqual(next(events), JobChanged(JOB, "41"))
        self.assertRaises(CutOffError, next, events)


if __name__ == "__main__":
    unittest.main()
