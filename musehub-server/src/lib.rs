//! The MuseHub server: HTTP, pages, background jobs and the command line around the use cases of `musehub-core`.
//!
//! No business rule lives here. A request goes through [`http::route`] and [`auth`] to `wire`, for Muse clients, [`api`], for
//! other programs, or `web`, for people; all call [`musehub_core::Hub`].

pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod http;
pub mod jobs;
pub mod metrics;
pub mod pages;
pub mod scan;
mod web;
mod wire;

pub use app::App;
pub use config::{Config, ConnectionLimits, Limits, Settings};
#[cfg(feature = "decoders")]
pub use wire::decoders;
