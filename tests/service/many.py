"""Many clients and trains at once: nothing is lost, nothing is done twice, and the referee passes every train."""
import concurrent.futures
import json
import multiprocessing
import os
import threading
import time
import unittest
from dataclasses import dataclass
from pathlib import Path

from service.scene import ServiceTest
from support.service import UnixConnection, request

TRAINS = int(os.environ.get("TRAINSEAL_SERVICE_TRAINS", "2000"))
CLIENTS = 64


MINT = None  # what the processes that make and judge trains inherit


def judge_part(service, numbers):
    """In a process of its own: the referee works on sys.argv."""
    said = {number: MINT.judge(service.trains / f"t-{number}", service.out / f"t-{number}" / "pht_results", "1") for number in numbers}
    return [f"t-{number}: {line}" for number, line in said.items() if not line.startswith("PASS")]


def make_part(service, numbers):
    for number in numbers:
        MINT.make(service.trains / f"t-{number}", number)
    return []


def in_two_processes(work, service, numbers):
    """What `work` returns of each half."""
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        places = Places(service.trains, service.out)
        halves = [pool.submit(work, places, numbers[first::2]) for first in (0, 1)]
        return sum((half.result() for half in halves), [])


@dataclass(frozen=True)
class Places:
    trains: Path
    out: Path


class ManyTrains(ServiceTest):
    def test_sixty_four_clients_and_distinct_trains(self):
        service = self.service()
        numbers = list(range(1, TRAINS + 1))
        global MINT
        MINT = self.mint
        in_two_processes(make_part, service, numbers)
        left = iter(numbers)
        lock = threading.Lock()
        failed = []

        def client():
            while True:
                with lock:
                    number = next(left, None)
                if number is None:
                    return
                answers = []
                try:
                    answers.append(self.pre_run(service, number))
                    self.run_train(service, number)
                    answers.append(self.post_run(service, number, wipe=False))
                    if any(answer.status != 200 for answer in answers):
                        failed.append([str(answer) for answer in answers])
                except Exception as error:  # a thread must not fail silently
                    failed.append(f"{number}: {error!r} {[str(answer) for answer in answers]}")

        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed[:3], [])
        self.assertEqual(in_two_processes(judge_part, service, numbers)[:3], [])
        self.assertEqual(service.stop(), 0, service.log())
        self.assert_audit_sound(service)
        self.assert_each_was_done_once(service, numbers)

    def assert_each_was_done_once(self, service, numbers):
        audit = service.audit()
        for verb in ("pre-run", "post-run"):
            done = [line["id"] for line in audit if line["kind"] == verb and line["outcome"] == "done"]
            self.assertEqual(sorted(done), sorted(f"t-{number}" for number in numbers), verb)
        signed = [line["digest"] for line in audit if line["kind"] == "sign"]
        self.assertEqual(len(signed), 2 * len(numbers))
        self.assertEqual(len(set(signed)), len(signed))


class Overload(ServiceTest):
    def test_what_is_too_much_is_told_and_nothing_is_lost_or_doubled(self):
        # Two jobs at a time and three that wait: of thirty calls, most are turned away, again and again.
        service = self.service()
        service.party.configure(service={"jobs": 2, "queue": 3})
        self.assertEqual(service.stop(), 0)
        service.start()
        numbers = list(range(1, 31))
        for number in numbers:
            self.make(service, number)
        refused = []

        def until_taken(call):
            for _ in range(2000):
                answer = call()
                if answer.status != 503:
                    return answer
                refused.append(answer)
                self.assertEqual(answer.code, "service_unavailable", str(answer))
                self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
                time.sleep(0.005)  # a client's own pause, not a wait for anything
            raise AssertionError("never taken")

        def client(number):
            first = until_taken(lambda: self.pre_run(service, number))
            self.run_train(service, number)
            return first, until_taken(lambda: self.post_run(service, number, wipe=False))

        with concurrent.futures.ThreadPoolExecutor(len(numbers)) as pool:
            answers = list(pool.map(client, numbers))
        for pair in answers:
            for answer in pair:
                self.assert_ok(answer)
        self.assertGreater(len(refused), 0, "nothing was ever too much: the queue is not bounded")
        for number in numbers:
            self.assert_sealed(service, number)
        service.stop()
        done = [line["id"] for line in service.audit() if line["kind"] == "post-run"]
        self.assertEqual(sorted(done), sorted(f"t-{number}" for number in numbers))

    def test_one_user_cannot_take_the_whole_queue(self):
        service = self.service()
        service.party.configure(service={"jobs": 1, "queue": 100, "per_user": 2})
        service.stop()
        service.start()
        for number in range(12):
            self.make(service, number)
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda number: self.pre_run(service, number), range(12)))
        statuses = {answer.status for answer in answers}
        self.assertLessEqual(statuses, {200, 503}, [str(answer) for answer in answers])
        self.assertIn(200, statuses)


class Idempotency(ServiceTest):
    def test_the_same_key_finds_the_same_job(self):
        service = self.service()
        self.make(service, 1)
        headers = {"Idempotency-Key": "dag-run-7"}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: self.pre_run(service, 1, headers=headers), range(8)))
        for answer in answers:
            self.assert_ok(answer)
        self.assertEqual(len({answer.headers["trainseal-job"] for answer in answers}), 1)
        self.assertFalse(answers[0].json["already_released"])
        job = service.get(answers[0].headers["location"])
        self.assertEqual(job.json["state"], "done")
        self.assertEqual(job.json["answer"], answers[0].json)
        self.assertEqual([line["kind"] for line in service.audit()].count("pre-run"), 1)

    def test_the_key_of_another_call_is_refused(self):
        service = self.service()
        self.make(service, 1)
        self.make(service, 2)
        headers = {"Idempotency-Key": "one"}
        self.assert_ok(self.pre_run(service, 1, headers=headers))
        self.assert_failed(self.pre_run(service, 2, headers=headers), 400, "usage")

    def test_a_job_whose_client_went_away_is_done(self):
        service = self.service()
        self.make(service, 1)
        connection = UnixConnection(service.socket)
        body = json.dumps({"train": f"folder:{service.trains}/t-1", "out": f"{service.out}/t-1"})
        connection.request("POST", "/v1/pre-run", body, {"Content-Type": "application/json", "Idempotency-Key": "gone",
                                                         "Accept": "application/x-ndjson"})
        job = connection.getresponse().getheader("Location")
        connection.close()

        service.wait_until(lambda: service.get(job).json["state"] == "done")
        answer = self.assert_ok(self.pre_run(service, 1, headers={"Idempotency-Key": "gone"}))
        self.assertFalse(answer.json["already_released"])
        self.assertEqual(request(service.socket, "GET", "/v1/jobs/none").status, 404)


if __name__ == "__main__":
    unittest.main()
