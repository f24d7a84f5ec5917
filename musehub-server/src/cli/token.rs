//! `token`: makes, lists and revokes tokens.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use musehub_core::Handle;
use musehub_core::port::{NewToken, Scope, Timestamp, TokenHash, TokenRow};

use super::{DataDirectory, Outcome, parse_handle};
use crate::app::App;
use crate::config::Limits;

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Make a token of somebody's, and print it once: it is alone on the last line, and kept nowhere.
    Create(CreateArguments),
    /// List somebody's tokens: what they are called, how far they go, whether they count.
    List(ListArguments),
    /// Revoke a token by the id that `token list` shows. It counts for nothing from the next request on.
    Revoke(RevokeArguments),
}

#[derive(Args, Debug)]
pub(super) struct CreateArguments {
    /// Whose it will be; made where there is no such identity.
    #[arg(value_parser = parse_handle)]
    handle: Handle,
    /// How far it goes: `read` sees what its holder sees, `push` pushes as well, `admin` does whatever its holder may.
    #[arg(long, value_name = "SCOPE", default_value_t = Scope::Admin)]
    scope: Scope,
    /// When it ends: so many days, hours or minutes from now (90d, 12h, 30m). Without, it never does.
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    expires: Option<Duration>,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Args, Debug)]
pub(super) struct ListArguments {
    /// Whose tokens.
    #[arg(value_parser = parse_handle)]
    handle: Handle,
    #[command(flatten)]
    data: DataDirectory,
}

#[derive(Args, Debug)]
pub(super) struct RevokeArguments {
    /// Whose token.
    #[arg(value_parser = parse_handle)]
    handle: Handle,
    /// The 16 digits that `token list` shows.
    #[arg(value_name = "TOKEN_ID")]
    token_id: String,
    #[command(flatten)]
    data: DataDirectory,
}

pub(super) async fn run(command: Command) -> Outcome {
    match command {
        Command::Create(arguments) => {
            let app = arguments.data.open(Limits::default()).await?;
            let expires_at = arguments.expires.map(|age| after(app.clock.now(), age));
            let token = create(&app, &arguments.handle, arguments.scope, expires_at).await?;
            println!("token of {}; it is shown this once:", arguments.handle);
            println!("{token}");
            Ok(ExitCode::SUCCESS)
        }
        Command::List(arguments) => {
            let app = arguments.data.open(Limits::default()).await?;
            let now = app.clock.now();
            for token in app.identities.tokens(&arguments.handle).await? {
                println!("{}", describe(&token, now));
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Revoke(RevokeArguments { handle, token_id, data }) => {
            let app = data.open(Limits::default()).await?;
            if app.identities.revoke_token(&handle, &token_id, app.clock.now()).await? {
                println!("revoked token {token_id} of {handle}");
                return Ok(ExitCode::SUCCESS);
            }
            Err(format!("{handle} has no token {token_id} that could be revoked").into())
        }
    }
}

fn describe(token: &TokenRow, now: Timestamp) -> String {
    let state = match (token.revoked_at, token.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(end)) if token.is_live(now) => format!("until {end}"),
        (None, Some(end)) => format!("expired {end}"),
        (None, None) => "without end".to_owned(),
    };
    format!("{}  {:5}  made {}  {state}", token.token_id, token.scope.as_str(), token.created_at)
}

/// Reads an age: a number and `d`, `h` or `m`.
fn parse_age(text: &str) -> Result<Duration, String> {
    let wrong = || "an age is a number and d, h or m: 90d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    // A century is as good as never, and fits every clock.
    let age = number.checked_mul(seconds).filter(|age| (1..=100 * 366 * 86_400).contains(age));
    age.map(Duration::from_secs).ok_or_else(|| "an age is at least a minute and at most a century".to_owned())
}

fn after(now: Timestamp, age: Duration) -> Timestamp {
    now.plus_millis(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

/// Makes a token and keeps its hash.
pub(super) async fn create(
    app: &App,
    handle: &Handle,
    scope: Scope,
    expires_at: Option<Timestamp>,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let mut random = [0_u8; TOKEN_BYTES];
    getrandom::fill(&mut random).map_err(|error| format!("no random bytes: {error}"))?;
    let token = format!("mh_{}", hex::encode(random));
    let hash = TokenHash::of(&token);
    let new = NewToken { hash, handle: handle.clone(), scope, created_at: app.clock.now(), expires_at };
    app.identities.add_token(&new).await?;
    Ok(token)
}
