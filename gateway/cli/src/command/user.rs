//! `datamesh user`.

use anyhow::Result;
use gateway_admin::wire;

use super::print;
use crate::{
    args::{UserArgs, UserVerb},
    client::{Client, segment},
};

pub(crate) fn run(args: UserArgs) -> Result<()> {
    let client = Client::connect(&args.client)?;
    let json = args.client.json;
    match args.verb {
        UserVerb::Create { name } => {
            let user: wire::User = client.post("/users", &wire::CreateUser { name })?;
            if json { print::json(&user) } else { print::line(&format!("created {}", user.name)) }
        }
        UserVerb::List => {
            let users = all(&client)?;
            if json {
                return print::json(&wire::UserPage { users, next: None });
            }
            let rows: Vec<_> = users
                .into_iter()
                .map(|user| [user.name, user.account.to_string(), user.created])
                .collect();
            print::table(["NAME", "ACCOUNT", "CREATED"], &rows)
        }
        UserVerb::Delete { name } => {
            client.delete(&format!("/users/{}", segment(&name)?))?;
            if json {
                print::json(&serde_json::json!({ "deleted": name }))
            } else {
                print::line(&format!("deleted {name}"))
            }
        }
    }
}

fn all(client: &Client) -> Result<Vec<wire::User>> {
    let mut users = Vec::new();
    let mut path = "/users".to_owned();
    loop {
        let page: wire::UserPage = client.get(&path)?;
        users.extend(page.users);
        match page.next {
            Some(next) => path = format!("/users?after={}", segment(&next)?),
            None => return Ok(users),
        }
    }
}
