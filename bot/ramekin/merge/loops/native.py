"""Machine code of the loops: made by numba once, and loaded without it from then on.

To import numba and to have it look for what it compiled before takes a second, as long as reading all of a model of
1.5B. What a loop compiles to stands on its own, so the linker of LLVM, which numba brings (llvmlite), is enough.
"""

import contextlib
import ctypes
import hashlib
import importlib
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from operator import index
from pathlib import Path
from typing import Any, Final

import llvmlite  # type: ignore[import-untyped]
import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np

from ramekin.atomic import exclusive, write_atomically
from ramekin.errors import RamekinError

_HERE: Final = Path(__file__).parent
_DIGEST: Final = hashlib.sha256().digest_size
_NAME: Final = b"entry"
_SHARED: Final = {"memcpy", "memmove", "memset", "pread"}
"""Functions of the system's that machine code may call."""

# LLVM's engines are made one at a time, and live as long as the process: machine code is theirs.
_MAKING: Final = threading.RLock()
_ENGINES: Final[list[Any]] = []


class Native:
    """A loop of this package, as machine code for this processor; it lets other threads run meanwhile.

    Args:
        place: Module and function.
        signature: Types of its arguments, such as `int64` or `float32[:,:]`. Arrays are to be contiguous.
    """

    def __init__(self, place: str, *signature: str) -> None:
        self.module, _, self.name = place.partition(".")
        self.signature = signature
        self._types = [_type(name) for name in signature]
        self._entry: Callable[..., None] | None = None

    def __call__(self, *arguments: Any) -> None:
        """Run it: an array is handed over as its address and its shape, a number as it is.

        Raises:
            TypeError: An argument is not of its type.
        """
        entry = self._entry or self.load()
        if len(arguments) != len(self._types):
            raise TypeError(f"{self.name} takes {len(self._types)} arguments, not {len(arguments)}")
        values: list[float] = []
        for (dtype, dimensions), given in zip(self._types, arguments, strict=True):
            if not dimensions:
                values.append(float(given) if dtype.kind == "f" else index(given))
            elif given.dtype == dtype and given.ndim == dimensions and given.flags.c_contiguous:
                values += (_address(given), *given.shape)
            else:
                raise TypeError(f"not a contiguous {dtype} of {dimensions} dimensions: {given.dtype}, {given.shape}")
        entry(*values)

    def load(self) -> Callable[..., None]:
        """Have it ready, compiled if need be; the first call does that by itself."""
        with _MAKING:
            if not self._entry:
                parameters = [kind for dtype, dimensions in self._types for kind in _parameters(dtype, dimensions)]
                self._entry = ctypes.CFUNCTYPE(None, *parameters)(_linked(self._kept() or self._made()))
        return self._entry

    @property
    def _file(self) -> str:
        return f"{self.name}-{_key()[:32]}.o"

    def _kept(self) -> bytes | None:
        """What an earlier process made, if it is all there."""
        for directory in _places():
            with contextlib.suppress(OSError):
                content = (directory / self._file).read_bytes() if _is_ours(directory / self._file) else b""
                if hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
                    return content[_DIGEST:]
        return None

    def _made(self) -> bytes:
        """Compile it, and keep it in the first directory that can be written; without one, every process compiles.

        Of several processes that want it, one compiles and the others wait.
        """
        code: bytes | None = None
        for directory in _places():
            with contextlib.suppress(OSError, RamekinError):
                directory.mkdir(parents=True, exist_ok=True)
                turn = directory / f"{self._file}.lock"
                with exclusive(turn):
                    try:
                        kept = self._kept()
                        code = kept or code or self.compile()
                        if not kept:
                            write_atomically(directory / self._file, hashlib.sha256(code).digest() + code)
                    finally:
                        turn.unlink()
                return code
        return code or self.compile()

    def compile(self) -> bytes:
        """An object file of it.

        Raises:
            RuntimeError: It would need more than itself.
        """
        from ramekin.merge.loops.compiling import machine_code

        loop = getattr(importlib.import_module(f"ramekin.merge.loops.{self.module}"), self.name)
        name, source = machine_code(loop, self.signature)
        module = llvm.parse_assembly(source)
        module.get_function(name).name = _NAME.decode()
        _strip(module)
        wanted = {one.name for one in module.functions if one.is_declaration and not one.name.startswith("llvm.")}
        wanted |= {one.name for one in module.global_variables if one.is_declaration}
        if wanted - _SHARED:
            raise RuntimeError(f"{self.name} does not stand on its own: {', '.join(sorted(wanted - _SHARED))}")
        code: bytes = _machine().emit_object(module)
        return code


def _type(name: str) -> tuple[np.dtype[Any], int]:
    """Element type and number of dimensions; a number has none."""
    element, _, dimensions = name.partition("[")
    return np.dtype(element), dimensions.count(":")


def _parameters(dtype: np.dtype[Any], dimensions: int) -> Sequence[Any]:
    if dimensions:
        return [ctypes.c_void_p, *[ctypes.c_int64] * dimensions]
    return [np.ctypeslib.as_ctypes_type(dtype)]


def _address(array: Any) -> int:
    """Of the first element. What numpy has for it takes three times as long, which counts in so short a call."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except (ValueError, TypeError):  # it is empty, or not to be written
        return int(array.ctypes.data)


def _places() -> Iterator[Path]:
    """Where machine code is kept: beside these files, or in the user's cache, if there is one of this user's alone.

    A relative one would be the working directory's, which may be a stranger's pull request.
    """
    yield _HERE / "__pycache__"
    with contextlib.suppress(RuntimeError):  # no home, as in a container for any user
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        if cache.is_absolute():
            yield cache / "ramekin" / "loops"


def _is_ours(file: Path) -> bool:
    """Whether nobody else can have put it there."""
    found = file.stat()
    return found.st_uid in {0, os.getuid()} and not found.st_mode & stat.S_IWOTH


@cache
def _key() -> str:
    """All that machine code depends on: the loops, what compiles them, and the processor."""
    sources = [_HERE.parent / "arrays.py", _HERE.parent / "sizes.py", *sorted(_HERE.glob("*.py"))]
    digest = hashlib.sha256()
    settings = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("NUMBA_"))
    compilers = _installed("numba"), llvmlite.__version__, llvm.llvm_version_info, llvm.get_process_triple()
    for known in (*compilers, *_processor(), *settings):
        digest.update(f"{known}\n".encode())
    for path in sources:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _installed(package: str) -> str:
    """Tells one installation of a package from another. To ask for its version takes twenty times as long."""
    found = find_spec(package)
    if not found or not found.origin:
        return "none"
    known = Path(found.origin).stat()
    return f"{found.origin} {known.st_size} {known.st_mtime_ns}"


@cache
def _processor() -> tuple[str, str]:
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


@cache
def _initialize() -> None:
    with contextlib.suppress(RuntimeError):  # newer ones do this by themselves, and say so
        llvm.initialize()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def _machine() -> Any:
    """LLVM's backend for this processor."""
    _initialize()
    name, features = _processor()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(cpu=name, features=features, opt=3, codemodel="jitdefault", jit=True)


def _strip(module: Any) -> None:
    """Leave in a module what its entry needs, and nothing else."""
    for each in (*module.functions, *module.global_variables):
        if not each.is_declaration and each.name != _NAME.decode():
            each.linkage = "internal"
    builder = llvm.create_pass_builder(_machine(), llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(module, builder)


def _linked(code: bytes) -> int:
    """The address of a loop's machine code, in memory and ready to run."""
    with _MAKING:
        made = llvm.ObjectFileRef.from_data(code)
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())  # the machine is the engine's now
        _ENGINES.append(engine)
        engine.add_object_file(made)
        engine.finalize_object()
        address = engine.get_function_address(_NAME.decode())
    if not address:
        raise RuntimeError("a loop's machine code cannot be linked")
    return int(address)
