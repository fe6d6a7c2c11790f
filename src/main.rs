//! An exit code, nothing else.

/// musl's own allocator is many times slower under several threads; this one serves every build alike.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    doorbell::cli::run()
}
