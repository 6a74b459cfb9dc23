"""torch without its compiler, whose import costs two seconds of a process, where nothing is compiled.

torch 2.15 imports `torch._dynamo` to tell it what to leave alone, should it be at work: when an optimiser is
made and at each of its steps, when operations are counted, when workers train together; torchvision does at
once. Here a module that is not executed yet takes its place and knows the answers to just these questions.
Whoever asks for more (`torch.compile` in a family's file, an export) wakes it: it is then executed in place,
as by importlib's LazyLoader, and is what it would have been.

Triton, which compiles kernels for GPUs, is another half second, and its library calls a leak what a process
that ends leaves to the system.
"""

import logging
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_loader
from types import FunctionType, ModuleType
from typing import Any, cast

COMPILER = "torch._dynamo"
UTILS = f"{COMPILER}.utils"


def leave_compiler_out() -> None:
    """Let torch's compiler sleep until it is needed; nothing happens where it is awake already."""
    if COMPILER not in sys.modules:
        compiler = _put_to_sleep(COMPILER, _Compiler)
        setattr(compiler, "utils", _put_to_sleep(UTILS, _Utils))  # noqa: B010
        sys.meta_path.insert(0, _WAKING)


@contextmanager
def without_triton() -> Generator[None, None, None]:
    """Import something that would bring it along to know its kernels, of which there are none before it."""
    if "triton" in sys.modules:
        yield
        return
    logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)  # It would tell of this.
    sys.modules |= {"triton": cast(Any, None)}
    try:
        yield
    finally:
        del sys.modules["triton"]


def _put_to_sleep(name: str, kind: type[ModuleType]) -> ModuleType:
    spec = find_spec(name)
    assert spec
    module = sys.modules[name] = module_from_spec(spec)
    module.__class__ = kind
    return module


class _Asleep(ModuleType):
    """A module that is executed when it is asked for anything that it does not know yet."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked of any module by those who look at all of them
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        _wake()
        return getattr(sys.modules[self.__name__], name)


class _Compiler(_Asleep):
    """The compiler, as those see it who only want to be left alone by it."""

    @staticmethod
    def disable(
        fn: Any = None, recursive: bool = True, reason: str | None = None, wrapping: bool = True
    ) -> Any:
        """*fn*, which is forbidden to the compiler from the moment on that it is awake."""

        def forbidden() -> Any:
            return sys.modules[COMPILER].disable(fn, recursive, reason=reason, wrapping=wrapping)

        if not isinstance(fn, FunctionType):  # a class, or what is to decorate one
            _wake()
            return forbidden()

        @wraps(fn)
        def left_alone(*args: Any, **named: Any) -> Any:
            return (fn if _is_asleep() else forbidden())(*args, **named)

        setattr(left_alone, "_torchdynamo_disable", True)  # noqa: B010
        return left_alone

    @staticmethod
    def graph_break() -> None:
        """Where a compiler would have to stop."""


class _Utils(_Asleep):
    @staticmethod
    def get_optimize_ddp_mode() -> str:
        """torch's own default."""
        return "ddp_optimizer"

    @staticmethod
    def is_compile_supported(device_type: str) -> bool:
        _wake()
        return sys.modules[UTILS].is_compile_supported(device_type)


def _is_asleep() -> bool:
    return isinstance(sys.modules[COMPILER], _Compiler)


def _wake() -> None:
    if _is_asleep():
        compiler = sys.modules[COMPILER]
        compiler.__class__ = ModuleType
        del sys.modules[UTILS], compiler.__dict__["utils"]
        sys.meta_path.remove(_WAKING)
        assert compiler.__spec__ and compiler.__spec__.loader
        compiler.__spec__.loader.exec_module(compiler)


class _Waking(MetaPathFinder, Loader):
    """Of what lies in the compiler's package, the package itself comes first, and brings most of it along."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(f"{COMPILER}."):
            return None
        _wake()
        return spec_from_loader(name, self) if name in sys.modules else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """It has been."""


_WAKING = _Waking()
