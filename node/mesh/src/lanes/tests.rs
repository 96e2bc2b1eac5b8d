//! Lanes between processes of a test, over TCP on this machine, without libp2p.

mod conform;
mod copies;
mod faulty;
mod rig;
mod saturation;
mod serving;
mod stalls;
mod watching;
