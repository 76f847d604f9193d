"""What a process's control groups leave it, on trees as the system would show them."""

from pathlib import Path

import pytest

from ramekin.control_group import memory_left

GIB = 1 << 30
UNLIMITED = "9223372036854771712"  # as the first version writes it


def system(root: Path, group: str) -> Path:
    """A system whose process is in a group, as a line of `/proc/self/cgroup` says."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"{group}\n")
    return root / "sys/fs/cgroup"


def second(directory: Path, limit: str, used: int = 0, inactive: int = 0, active: int = 0) -> None:
    """A group of the second version."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "memory.max").write_text(f"{limit}\n")
    (directory / "memory.current").write_text(f"{used}\n")
    stat = f"anon {used - inactive - active}\ninactive_file {inactive}\nactive_file {active}\n"
    (directory / "memory.stat").write_text(stat)


def first(directory: Path, limit: str, used: int = 0, inactive: int = 0, active: int = 0) -> None:
    """A group of the first version: what it uses, and what of it the page cache, is with that of groups below."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (directory / "memory.usage_in_bytes").write_text(f"{used}\n")
    stat = f"inactive_file 0\nactive_file 0\ntotal_inactive_file {inactive}\ntotal_active_file {active}\n"
    (directory / "memory.stat").write_text(stat)


def test_no_groups_at_all(tmp_path: Path) -> None:
    assert memory_left(tmp_path) is None
    system(tmp_path, "0::/")
    assert memory_left(tmp_path) is None


def test_the_tightest_of_all_groups_above(tmp_path: Path) -> None:
    mount = system(tmp_path, "0::/user.slice/job.scope/step")
    second(mount / "user.slice/job.scope/step", "max")
    second(mount / "user.slice/job.scope", str(4 * GIB), used=GIB)
    second(mount / "user.slice", str(5 * GIB), used=3 * GIB)
    second(mount / "other", str(GIB))
    assert memory_left(tmp_path) == 2 * GIB
    second(mount / "user.slice/job.scope/step", str(GIB))
    assert memory_left(tmp_path) == GIB


@pytest.mark.parametrize("inactive", [0, 3 * GIB])
def test_the_page_cache_gives_way(tmp_path: Path, inactive: int) -> None:
    mount = system(tmp_path, "0::/")
    second(mount, str(4 * GIB), used=7 * GIB // 2, inactive=inactive, active=3 * GIB - inactive)
    assert memory_left(tmp_path) == 7 * GIB // 2


def test_more_is_used_than_may_be(tmp_path: Path) -> None:
    second(system(tmp_path, "0::/"), str(GIB), used=2 * GIB)
    assert memory_left(tmp_path) == 0


@pytest.mark.parametrize("group", ["0::/docker/0123", "0::/../../docker/0123"])
def test_in_a_container_what_is_mounted_counts(tmp_path: Path, group: str) -> None:
    second(system(tmp_path, group), str(4 * GIB), used=GIB)
    assert memory_left(tmp_path) == 3 * GIB


def test_the_first_version(tmp_path: Path) -> None:
    mount = system(tmp_path, "5:cpu,cpuacct:/elsewhere\n4:memory:/slurm/job_1/step_0\n1:name=systemd:/a:b")
    first(mount / "memory", UNLIMITED, used=8 * GIB)
    assert memory_left(tmp_path) is None
    first(mount / "memory/slurm/job_1", str(4 * GIB), used=3 * GIB, inactive=GIB, active=GIB)
    first(mount / "memory/slurm/job_1/step_0", UNLIMITED, used=3 * GIB)
    assert memory_left(tmp_path) == 3 * GIB


def test_both_versions_at_once(tmp_path: Path) -> None:
    mount = system(tmp_path, "4:memory:/job\n0::/job")
    (mount / "unified/job").mkdir(parents=True)
    first(mount / "memory/job", str(2 * GIB), used=GIB)
    assert memory_left(tmp_path) == GIB


def test_nonsense_is_no_limit(tmp_path: Path) -> None:
    mount = system(tmp_path, "0::/")
    second(mount, "plenty")
    assert memory_left(tmp_path) is None
    second(mount, str(GIB))
    (mount / "memory.stat").write_text("inactive_file\n")
    assert memory_left(tmp_path) is None
