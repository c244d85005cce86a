"""Workers and job arrays write the bytes that one process writes, and keep off each other."""

import json
import multiprocessing
import threading
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from stores import contents

from gazegan.cli import main
from gazegan.data import workers, writing
from gazegan.data.files import only_writer, write_among_others
from gazegan.data.rendered import plan_rendered, write_rendered, write_rendered_share
from gazegan.data.store import write_store
from gazegan.data.writing import fill_share, share_numbers, sized, write_here
from gazegan.errors import DataError, UserError
from gazegan.render.prior import Recipe

SMALL = Recipe.model_validate({"image": {"height": 12, "width": 20}})


@pytest.fixture(autouse=True)
def _shards_of_eight(monkeypatch):
    monkeypatch.setattr(writing, "_default_shard_size", lambda plan: 8)


def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path):
    done = []
    write_rendered(SMALL, 5, 30, tmp_path / "one")
    write_rendered(SMALL, 5, 30, tmp_path / "two", progress=done.append, workers=2)
    assert sorted(done) == [6, 8, 8, 8]
    assert len(contents(tmp_path / "one")) == 5
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_workers_that_cannot_start_are_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "CODE", "import sys; sys.exit('no such luck')")
    with pytest.raises(DataError, match=r"3 processes ended while they started \(no such luck\)"):
        write_rendered(SMALL, 5, 30, tmp_path, workers=2)


def test_shares_make_the_store_and_the_last_one_finishes_it(tmp_path):
    write_rendered(SMALL, 5, 30, tmp_path / "whole")
    out, done = tmp_path / "shares", []
    for i in (3, 1):
        assert write_rendered_share(SMALL, 5, 30, out, (i, 3), progress=done.append) is None
        assert not (out / "manifest.json").exists()
    store = write_rendered_share(SMALL, 5, 30, out, (2, 3), progress=done.append)
    assert done == [8, 8, 6, 8] and len(store) == 30
    assert contents(out) == contents(tmp_path / "whole")
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert write_rendered_share(SMALL, 5, 30, out, (2, 3)) == store
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


@pytest.mark.parametrize(("count", "n"), [(1, 1), (30, 1), (30, 3), (30, 9), (1000, 7)])
def test_every_shard_is_in_one_share(count, n):
    plan = plan_rendered(SMALL, 0, count)
    shares = [k for i in range(n) for k in share_numbers(plan, (i + 1, n))]
    assert sorted(shares) == list(range(plan.shard_count))
    assert sum(writing.share_images(plan, (i + 1, n)) for i in range(n)) == count


def test_shares_in_any_order_at_any_time_make_the_same_store(tmp_path, eyes, plan):
    """Jobs that start at the same moment, with shares that overlap."""
    batch, planned = eyes(40), sized(plan(40), 2)
    write_store(tmp_path / "whole", plan(40), lambda r: batch[list(r)], shard_size=2)
    out, start, faults = tmp_path / "jobs", threading.Barrier(5), []

    def job(share):
        start.wait()
        try:
            write = write_here(out, planned, lambda r: batch[list(r)])
            fill_share(out, planned, share, write)
        except UserError as fault:
            faults.append(fault)

    shares = [(1, 3), (2, 3), (3, 3), (1, 2), (2, 2)]
    jobs = [threading.Thread(target=job, args=(share,)) for share in shares]
    for thread in jobs:
        thread.start()
    for thread in jobs:
        thread.join(60)
    assert not faults
    assert contents(out) == contents(tmp_path / "whole")


def test_what_a_killed_worker_left_is_gone_once_the_store_is_whole(tmp_path, eyes, plan):
    batch, planned, out = eyes(8), sized(plan(8), 2), tmp_path / "out"
    whole = write_here(out, planned, lambda r: batch[list(r)])

    def interrupted(numbers, locks):
        for one in whole(numbers, locks):
            (out / f"shard-{one.number:05d}-0.safetensors.0a.tmp").write_bytes(b"half")
            yield one

    writing.fill(out, planned, interrupted)
    write_store(tmp_path / "undisturbed", plan(8), lambda r: batch[list(r)], shard_size=2)
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_writers_of_one_file_never_mix_their_bytes(tmp_path):
    context, file = multiprocessing.get_context("fork"), tmp_path / "file"
    several = [
        context.Process(target=write_again_and_again, args=(file, bytes([k]) * (k * 100_000)))
        for k in (1, 2, 3)
    ]
    for process in several:
        process.start()
    seen = set()
    while any(process.is_alive() for process in several):
        if file.exists():
            data = file.read_bytes()
            seen.add((data[0], len(set(data)), len(data)))
    assert seen <= {(k, 1, k * 100_000) for k in (1, 2, 3)}
    assert [process.exitcode for process in several] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == [file]


def write_again_and_again(file, data):
    for _ in range(30):
        write_among_others(file, data)


def test_a_file_that_is_there_can_be_kept(tmp_path):
    for data in (b"first", b"second"):
        write_among_others(tmp_path / "file", data, keep=True)
    assert contents(tmp_path) == {"file": b"first"}


@contextmanager
def busy(out, share):
    """A job with a share that has begun and does not go on."""
    begun, go_on = threading.Event(), threading.Event()

    def stop(images):
        begun.set()
        go_on.wait(60)

    thread = threading.Thread(
        target=write_rendered_share, args=(SMALL, 5, 30, out, share), kwargs={"progress": stop}
    )
    thread.start()
    try:
        assert begun.wait(60)
        yield
    finally:
        go_on.set()
        thread.join(60)


def test_who_may_write_beside_a_job_with_a_share(tmp_path):
    out = tmp_path / "out"
    with busy(out, (1, 2)):
        with pytest.raises(UserError, match=r"share-1-of-2.*another process is writing it"):
            write_rendered_share(SMALL, 5, 30, out, (1, 2))
        with pytest.raises(UserError, match="out: another process is writing it"):
            write_rendered(SMALL, 5, 30, out)
        with pytest.raises(UserError, match="seed: 5 -> 6"):
            write_rendered_share(SMALL, 6, 30, out, (2, 2))
        assert write_rendered_share(SMALL, 5, 30, out, (2, 2)) is None
    write_rendered(SMALL, 5, 30, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")


def test_a_share_is_refused_beside_a_whole_writer_and_in_a_foreign_folder(tmp_path):
    with only_writer(tmp_path), pytest.raises(UserError, match="another process"):
        write_rendered_share(SMALL, 5, 30, tmp_path, (1, 2))
    (tmp_path / "thesis.lock").write_text("years of work")
    with pytest.raises(UserError, match="no store"):
        write_rendered_share(SMALL, 5, 30, tmp_path, (1, 2))
    assert contents(tmp_path) == {"thesis.lock": b"years of work"}


def test_what_a_killed_share_left_is_taken_up(tmp_path):
    out = tmp_path / "out"
    write_rendered(SMALL, 5, 30, tmp_path / "whole")
    write_rendered_share(SMALL, 5, 30, out, (1, 2))
    shard = next(out.glob("shard-00002-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    (out / "shard-00001-0123456789abcdef.safetensors.0a1b.tmp").write_bytes(b"half")
    assert len(write_rendered_share(SMALL, 5, 30, out, (2, 2))) == 30
    assert contents(out) == contents(tmp_path / "whole")


def test_a_shard_that_another_machine_made_with_other_bits_does_not_stay(tmp_path):
    out = tmp_path / "out"
    write_rendered_share(SMALL, 5, 30, out, (1, 2))
    write_rendered_share(SMALL, 6, 30, tmp_path / "other", (1, 2))
    other = next((tmp_path / "other").glob("shard-00000-*"))
    (out / other.name).write_bytes(other.read_bytes())
    store = write_rendered_share(SMALL, 5, 30, out, (2, 2))
    files = {shard.file for shard in store.manifest.shards} | {"manifest.json"}
    assert set(contents(out)) == files and len(files) == 5


def run(*words, code=0):
    done = CliRunner().invoke(main, ["render", "webcam", "--size", "12x20", *map(str, words)])
    assert done.exit_code == code, done.output
    return done


def test_the_command_tells_what_is_missing(tmp_path):
    asked = ("--count", 20, "--out", tmp_path / "out")
    assert "8 eyes" in (said := run(*asked, "--shard", "2/3").stdout)
    assert "still missing: 2 of its 3 shards" in said
    assert json.loads(run(*asked, "--shard", "1/3", "--json").stdout)["missing_shards"] == 1
    last = json.loads(run(*asked, "--shard", "3/3", "--json").stdout)
    assert (last["missing_shards"], last["count"]) == (0, 20)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--shard", "0/3"), "write I/N"),
        (("--shard", "4/3"), "write I/N"),
        (("--shard", "3"), "write I/N"),
        (("--shard", "1/3/4"), "write I/N"),
        (("--shard", "-1/3"), "write I/N"),
        (("--workers", "0"), "--workers"),
        (("--workers", "2", "--device", "cuda"), "--device cpu only"),
    ],
)
def test_bad_requests_are_told_in_one_line(tmp_path, words, said):
    fault = run("--count", 20, "--out", tmp_path / "out", *words, code=2).stderr
    assert said in fault and fault.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_share_needs_a_store(tmp_path):
    fault = run("--preview", tmp_path / "a.png", "--shard", "1/2", code=2).stderr
    assert "--out" in fault and "--shard" in fault
