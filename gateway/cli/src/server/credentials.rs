//! The operator's credentials: given by the environment, kept from before, or made.

use anyhow::{Context, Result, bail};
use gateway_iam::{RootCredentials, Secret, validate_access_key_id, validate_secret};

use super::data_dir::{DataDir, StoredCredentials, stored_credentials};
use crate::clock::system_random;

/// Environment variable with the root access key id.
const ACCESS_KEY_VAR: &str = "DATAMESH_ROOT_ACCESS_KEY";
/// Environment variable with the root secret.
const SECRET_KEY_VAR: &str = "DATAMESH_ROOT_SECRET_KEY";

/// The credentials and whether this start made them.
pub(crate) struct Root {
    pub(crate) credentials: RootCredentials,
    pub(crate) generated: bool,
}

/// Finds the credentials and keeps them in the data directory.
pub(crate) fn root(data: &DataDir) -> Result<Root> {
    let given = (std::env::var(ACCESS_KEY_VAR).ok(), std::env::var(SECRET_KEY_VAR).ok());
    let kept = stored_credentials(data.path())?;
    let (stored, generated) = match (given, kept) {
        ((Some(access_key), Some(secret_key)), _) => {
            validate_access_key_id(&access_key).context(ACCESS_KEY_VAR)?;
            validate_secret(&secret_key).context(SECRET_KEY_VAR)?;
            (StoredCredentials { access_key, secret_key }, false)
        }
        ((None, None), Some(kept)) => (kept, false),
        ((None, None), None) => (generate(), true),
        ((Some(_), None), _) => bail!("{ACCESS_KEY_VAR} is set but {SECRET_KEY_VAR} is not"),
        ((None, Some(_)), _) => bail!("{SECRET_KEY_VAR} is set but {ACCESS_KEY_VAR} is not"),
    };
    data.store_credentials(&stored)?;
    let secret = Secret::new(stored.secret_key);
    let credentials = RootCredentials { access_key_id: stored.access_key, secret };
    Ok(Root { credentials, generated })
}

fn generate() -> StoredCredentials {
    let mut id = [0; 9];
    let mut secret = [0; 20];
    system_random(&mut id);
    system_random(&mut secret);
    StoredCredentials {
        access_key: format!("DM{}", hex::encode_upper(id)),
        secret_key: hex::encode(secret),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_credentials_follow_the_rules() {
        let made = generate();
        assert_eq!(validate_access_key_id(&made.access_key), Ok(()));
        assert_eq!(validate_secret(&made.secret_key), Ok(()));
        assert_ne!(made.access_key, generate().access_key);
    }
}
