//! Background work in this process: what kinds of jobs there are, and who runs them.

mod breakage;
mod handler;
mod mpack;
mod runner;
mod upkeep;
mod view;
mod worker;

pub use breakage::{Counts, KIND as BREAKAGE, Results, provide as provide_breakage};
pub use handler::{Handler, JobError, Registry, Summary, Task, Trigger};
pub(crate) use mpack::index_mpack;
pub use mpack::{INDEX_MPACK, PREBUILD};
pub use runner::{LEASE, run_next};
pub(crate) use upkeep::log_left_behind;
pub use upkeep::run as upkeep;
pub use view::JobView;
pub use worker::{Worker, work};
