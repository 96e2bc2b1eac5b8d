//! Updates of several streams, run together.

use crate::kernel::Kernel;
use crate::rounds::Lane;
use crate::scalar;
use crate::stream::Md5;

/// The next bytes of one stream.
#[derive(Debug)]
pub struct Update<'a> {
    /// The stream.
    pub md5: &'a mut Md5,
    /// What it takes.
    pub bytes: &'a [u8],
}

/// Updates every stream, as [`Md5::update`] would, in the lanes of `kernel`.
///
/// Any number of streams of any lengths: the longest go first, and a lane that has run out goes to
/// the next stream. It is fastest when the lengths are alike.
pub fn update_together(kernel: Kernel, updates: &mut [Update<'_>]) {
    let mut lanes: Vec<Lane<'_>> = updates
        .iter_mut()
        .map(|Update { md5, bytes }| {
            let steps = md5.take_ends(bytes);
            Lane { state: &mut md5.state, steps }
        })
        .filter(|lane| !lane.steps.is_empty())
        .collect();
    // What is too few for the lanes of one kernel goes on in the next.
    for kernel in [kernel, Kernel::SCALAR] {
        lanes = run(kernel, lanes);
    }
    for lane in lanes {
        scalar::advance(lane.state, lane.steps);
    }
}

/// Runs `waiting` in the lanes of `kernel` until fewer are left than are worth it.
fn run(kernel: Kernel, mut waiting: Vec<Lane<'_>>) -> Vec<Lane<'_>> {
    // The longest are taken first, from the end.
    waiting.sort_unstable_by_key(|lane| lane.steps.len());
    let mut running = Vec::with_capacity(kernel.lanes().min(waiting.len()));
    loop {
        let free = kernel.lanes() - running.len();
        running.extend(waiting.drain(waiting.len().saturating_sub(free)..));
        if running.len() < kernel.lanes_min() {
            return running;
        }
        advance_shortest(kernel, &mut running);
        running.retain(|lane| !lane.steps.is_empty());
    }
}

/// Advances every lane by as many steps as the shortest has.
fn advance_shortest(kernel: Kernel, running: &mut [Lane<'_>]) {
    let count = running.iter().map(|lane| lane.steps.len()).min().unwrap_or(0);
    let mut now: Vec<Lane<'_>> = running
        .iter_mut()
        .map(|lane| {
            let (steps, rest) = lane.steps.split_at(count);
            lane.steps = rest;
            Lane { state: &mut *lane.state, steps }
        })
        .collect();
    kernel.advance(&mut now);
}
