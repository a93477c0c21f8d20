#pragma once
/// Version and the two things a build may replace: the assertion and, without exceptions, Outcome's throw.

/// Version of the library: major * 10000 + minor * 100 + patch.
#define ASHLAR_VERSION 100

/// A programmer's mistake ends here. Define it before the first include to replace it; it does not depend on NDEBUG.
/// ASHLAR_ASSERT checks what a caller must keep; what a device says is checked with errors, never with assertions.
#ifndef ASHLAR_ASSERT
#if defined(ASHLAR_NO_ASSERT)
#define ASHLAR_ASSERT(condition) static_cast<void>(sizeof(static_cast<bool>(condition)))  // unevaluated, but used
#else
#define ASHLAR_ASSERT(condition) (static_cast<bool>(condition) ? static_cast<void>(0) : __builtin_trap())
#endif
#endif

// Outcome's own fall-back prints and pulls in stdio; a wrong access without exceptions is a mistake, so it traps.
#if !defined(__cpp_exceptions) && !defined(BOOST_OUTCOME_THROW_EXCEPTION)
#define BOOST_OUTCOME_THROW_EXCEPTION(expression) __builtin_trap()
#endif
