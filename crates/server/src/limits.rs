//! What the system must allow the process.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files that are wanted: a socket for each leg's media, connections, the log.
const FILES_WANTED: u64 = 262_144;

/// Raises the number of files that may be open as far as the system allows, and gives it.
pub fn raise_open_files() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 0;
    };
    // Root may go beyond its hard limit, others may not.
    for (soft_wanted, hard_wanted) in [
        (FILES_WANTED, hard.max(FILES_WANTED)),
        (hard.min(FILES_WANTED), hard),
    ] {
        if soft_wanted > soft
            && setrlimit(Resource::RLIMIT_NOFILE, soft_wanted, hard_wanted).is_ok()
        {
            return soft_wanted;
        }
    }
    soft
}
