//! `datamesh node token`.

use anyhow::Result;
use gateway_admin::wire;

use super::print;
use crate::{
    args::membership::TokenVerb,
    client::{Client, segment},
};

pub(super) fn run(verb: TokenVerb, client: &Client, json: bool) -> Result<()> {
    match verb {
        TokenVerb::Create { zone, name, expires, approved, quiet } => {
            let expires_seconds = Some(expires.as_secs());
            let request = wire::CreateToken { zone, name, expires_seconds, approved };
            let made: wire::NewToken = client.post("/tokens", &request)?;
            if json {
                return print::json(&made);
            }
            // The token alone is on standard output, so that `TOKEN=$(…)` holds nothing else.
            print::line(&made.token)?;
            if !quiet {
                let wire::Token { id, expires, .. } = &made.report;
                print::hint(&format!("token {id}, good for one node until {expires}"));
                print::hint("it is secret and shown this once");
                print::hint("next: datamesh node run --config node.toml --join TOKEN");
                if !approved {
                    print::hint("then: datamesh node approve NAME");
                }
            }
            Ok(())
        }
        TokenVerb::List => {
            let list: wire::TokenList = client.get("/tokens")?;
            if json {
                return print::json(&list);
            }
            let row = |token: wire::Token| {
                [
                    token.id,
                    print::or_dash(token.zone),
                    print::or_dash(token.name),
                    if token.approved { "yes" } else { "no" }.to_owned(),
                    token.state,
                    token.expires,
                    print::or_dash(token.used_by),
                ]
            };
            let rows: Vec<_> = list.tokens.into_iter().map(row).collect();
            let titles = ["TOKEN", "ZONE", "NAME", "APPROVED", "STATE", "EXPIRES", "USED BY"];
            print::table(titles, &rows)
        }
        TokenVerb::Revoke { id } => {
            client.delete(&format!("/tokens/{}", segment(&id)?))?;
            match json {
                true => print::json(&serde_json::json!({ "revoked": id })),
                false => print::line(&format!("revoked {id}")),
            }
        }
    }
}
