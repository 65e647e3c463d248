"""Processes that fork after their models were loaded, as gunicorn --preload does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from langgraph_cooper.ranker.model.computing import compute

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
ROOT = Path(__file__).parents[2]


def run(*command: str, limit: float) -> Any:
    """Run Python in a process of its own, with threads as by default; return what it printed."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False, timeout=limit,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_children_answer() -> None:
    """Those forked just after a turn, and those while another thread is in one; in both ways."""
    counts = run("-m", "tests.benchmarks.forks", "--children", "2", "--limit", "60", limit=900)
    assert counts == {moment: {"answered": 2} for moment in ("after a turn", "during a turn")}


# A program that forks with `child`, which says in the end what the child said.
PROGRAM = """
import json, os, signal, sys, threading, time
signal.alarm(90)
def child(work):
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        signal.alarm(30)
        os.write(writing, json.dumps(work()).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    return json.loads(os.read(reading, 10_000) or "null")
"""


def program(lines: str) -> Any:
    return run(
        "-W", "ignore::DeprecationWarning", "-c", PROGRAM + textwrap.dedent(lines), limit=120
    )


@pytest.mark.parametrize("whose", ["by name", "the caller's"])
def test_children_do_not_read_each_others_answers(whose: str) -> None:
    """The server kept the connection open on which their parent had asked it."""
    assert program(f"""
        from langchain_openai import ChatOpenAI
        from langgraph_cooper.nodes.llm import chat_model
        from tests.support.openai_server import OpenAIServer, Reply
        server = OpenAIServer(
            lambda asked: Reply(asked.messages[-1]["content"], delay=0.2), keep_alive=True
        )
        with server:
            os.environ |= {{"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-own"}}
            model = chat_model("m" if {whose!r} == "by name" else ChatOpenAI(model="m"))
            found = [model.invoke("parent").text]
            ends = []
            for number in range(4):
                reading, writing = os.pipe()
                if os.fork() == 0:
                    signal.alarm(30)
                    os.write(writing, model.invoke(f"child {{number}}").text.encode())
                    os._exit(0)
                os.close(writing)
                ends.append(reading)
            found += [os.read(reading, 100).decode() for reading in ends]
            print(json.dumps(found))
    """) == ["parent", *(f"child {number}" for number in range(4))]


def test_a_fork_waits_for_locks_whatever_their_order() -> None:
    assert program("""
        from langgraph_cooper.ranker.model.forking import wait_before_fork
        locks = [threading.Lock(), threading.RLock(), threading.Lock()]
        for lock in locks:
            wait_before_fork(lock)
        over, ahead = False, 0
        def work(order):
            global ahead
            while not over:
                with locks[order[0]], locks[order[1]]:
                    time.sleep(0.001)
                time.sleep(0.002)
                ahead += 1
        for order in ((0, 1), (2, 0)):
            threading.Thread(target=work, args=[order]).start()
        free = [child(lambda: [lock.acquire(blocking=False) for lock in locks]) for _ in range(20)]
        over = True
        print(json.dumps([ahead > 0, free]))
    """) == [True, [[True, True, True]] * 20]


def test_a_fork_waits_for_a_thread_that_holds_a_lock_and_computes() -> None:
    """As one does that loads a model."""
    assert program("""
        from langgraph_cooper.ranker.model.computing import compute
        from langgraph_cooper.ranker.model.forking import wait_before_fork
        signal.alarm(30)
        lock, inside, computed = threading.RLock(), threading.Event(), []
        wait_before_fork(lock)
        def load():
            with lock:
                inside.set()
                time.sleep(0.3)  # the fork waits by now
                for number in range(3):
                    computed.append(compute(lambda: number))
        loading = threading.Thread(target=load)
        loading.start()
        inside.wait()
        there = child(lambda: [lock.acquire(blocking=False), computed])
        loading.join()
        print(json.dumps([there, compute(lambda: "goes on")]))
    """) == [[True, [0, 1, 2]], "goes on"]


def test_a_fork_during_numpys_products_hangs_nobody() -> None:
    assert program("""
        import numpy as np
        import torch  # as in every process that holds turns: each child would import it
        from langgraph_cooper.ranker.model.computing import product
        matrix = np.ones((8_000, 384), np.float32)
        vector, over, found = matrix[0], False, []
        def multiply():
            while not over:
                found.append(float(product(matrix, vector)[0]))
        threads = [threading.Thread(target=multiply) for _ in range(3)]
        for thread in threads:
            thread.start()
        there = [child(lambda: float(product(matrix, vector)[0])) for _ in range(20)]
        over = True
        for thread in threads:
            thread.join()
        print(json.dumps([there, set(found) == {384.0}]))
    """) == [[384.0] * 20, True]


def test_a_fork_during_which_a_lock_is_added() -> None:
    assert program("""
        signal.alarm(30)
        later = []
        def add():
            later.append(threading.RLock())
            wait_before_fork(later[-1])
        os.register_at_fork(before=add)  # comes last: handlers run in reverse order
        from langgraph_cooper.ranker.model.computing import compute
        from langgraph_cooper.ranker.model.forking import wait_before_fork
        free = [child(lambda: [lock.acquire(blocking=False) for lock in later]) for _ in range(2)]
        print(json.dumps([free, compute(lambda: "goes on")]))
    """) == [[[True], [True, True]], "goes on"]


def test_control_c_while_a_fork_waits() -> None:
    assert program("""
        from langgraph_cooper.ranker.model.computing import compute
        signal.alarm(30)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        inside, leave = threading.Event(), threading.Event()
        def hold():
            inside.set()
            leave.wait()
        threading.Thread(target=compute, args=[hold]).start()
        inside.wait()
        main = threading.main_thread().ident
        threading.Timer(0.3, signal.pthread_kill, [main, signal.SIGINT]).start()
        there = child(lambda: "forked")
        leave.set()
        print(json.dumps([there, compute(lambda: "goes on")]))
    """) == ["forked", "goes on"]


def test_a_child_has_a_thread_of_its_own_to_compute_in() -> None:
    there, threads, parent = program("""
        import torch
        from langgraph_cooper.ranker.model.computing import compute
        torch.set_num_threads(2)
        before = compute(torch.get_num_threads)
        threading.Thread(target=compute, args=[lambda: time.sleep(0.5)]).start()
        told = child(lambda: [compute(threading.get_ident) > 0, compute(torch.get_num_threads)])
        print(json.dumps([*told, compute(torch.get_num_threads) == before]))
    """)
    assert (there, threads, parent) == (True, 1, True)


def test_a_child_is_not_kept_out_of_its_parents_threads(tmp_path: Path) -> None:
    """In memory the child has conversations of its own; a file's turn stays its parent's."""
    in_memory, in_file = program(f"""
        from pathlib import Path
        from langgraph.checkpoint.memory import InMemorySaver
        from langgraph_cooper.graph import ThreadBusyError, Turns, create_cooper
        from langgraph_cooper.graph.threads.locks import FileLock
        from langgraph_cooper.nodes.crisis.reading import read_meaning
        from tests.support.rankers import FakeRanker
        read_meaning("")  # loaded once, not in each child
        graph = create_cooper("esc", ranker=FakeRanker()).compile(checkpointer=InMemorySaver())
        def tried(lock):
            turns = Turns(graph, lock=lock, wait=1)
            inside, leave = threading.Event(), threading.Event()
            def hold():
                with turns.holding("anna"):
                    inside.set()
                    leave.wait(60)
            def sent():
                try:
                    return bool(turns.send("anna", "Hello.").text)
                except ThreadBusyError:
                    return "busy"
            holder = threading.Thread(target=hold)
            holder.start()
            inside.wait(60)
            told = [child(sent), sent()]
            leave.set()
            holder.join()
            return [*told, child(sent)]
        print(json.dumps([tried(None), tried(FileLock(Path({str(tmp_path / "locks")!r})))]))
    """)
    assert in_memory == [True, "busy", True]
    assert in_file == ["busy", "busy", True]


def test_one_thread_computes_for_all() -> None:
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: compute(threading.get_ident), range(20)))
    assert len(found) == 1
    assert found != {threading.get_ident()}
    assert compute(lambda: compute(threading.get_ident)) in found
    with pytest.raises(ZeroDivisionError):
        compute(lambda: 1 / 0)
