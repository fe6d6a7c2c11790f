//! The program's entry point: returns an exit code, and leaves everything else to the library.

/// musl's own allocator is many times slower with several threads, so every build uses this one instead.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    doorbell::cli::run()
}
