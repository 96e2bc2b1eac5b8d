//! Dying at a failpoint as a kill would.
//!
//! `FAILPOINTS="NAME=COUNT*off->panic(kill)"` ends the process where it stands: no unwinding, no
//! destructor, no buffer written. A plain `panic` stays a panic of one request or one step.

use std::panic;

/// The message by which a failpoint asks for the end of the process.
const KILL: &str = "kill";

/// Makes panics that say [`KILL`] end the process at once, and leaves all others as they were.
pub(super) fn abort_on_kill() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() == Some(KILL) {
            eprintln!("killed at a failpoint");
            std::process::abort();
        }
        others(info);
    }));
}
