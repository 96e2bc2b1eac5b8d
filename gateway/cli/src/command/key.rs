//! `datamesh key`.

use anyhow::Result;
use gateway_admin::wire;

use super::print;
use crate::{
    args::{KeyArgs, KeyVerb},
    client::{Client, segment},
};

pub(crate) fn run(args: KeyArgs) -> Result<()> {
    let client = Client::connect(&args.client)?;
    let json = args.client.json;
    match args.verb {
        KeyVerb::Create { user, access_key, secret_key } => {
            let request =
                wire::CreateAccessKey { access_key_id: access_key, secret_access_key: secret_key };
            let path = format!("/users/{}/keys", segment(&user)?);
            let made: wire::NewAccessKey = client.post(&path, &request)?;
            if json {
                return print::json(&made);
            }
            print::line(&format!("Access key    {}", made.access_key_id))?;
            print::line(&format!("Secret key    {}", made.secret_access_key))?;
            print::line("              shown this once")
        }
        KeyVerb::List { user } => {
            let path = format!("/users/{}/keys", segment(&user)?);
            let list: wire::AccessKeyList = client.get(&path)?;
            if json {
                return print::json(&list);
            }
            let rows: Vec<_> =
                list.keys.into_iter().map(|key| [key.access_key_id, key.created]).collect();
            print::table(["ACCESS KEY", "CREATED"], &rows)
        }
        KeyVerb::Revoke { id } => {
            client.delete(&format!("/keys/{}", segment(&id)?))?;
            if json {
                print::json(&serde_json::json!({ "revoked": id }))
            } else {
                print::line(&format!("revoked {id}"))
            }
        }
    }
}
