//! Who may do what. Pure: everything it looks at is an argument.

use gateway_meta::AccountId;

use crate::action::Action;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Nobody: the request carries no credentials.
    Anonymous,
    /// An account, by one of its access keys.
    Account {
        /// The account.
        account: AccountId,
        /// The access key that signed the request.
        access_key_id: String,
    },
}

impl Principal {
    /// The account that asks, if any.
    #[must_use]
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Self::Anonymous => None,
            Self::Account { account, .. } => Some(*account),
        }
    }

    /// Whether the operator asks.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.account() == Some(AccountId::ROOT)
    }
}

/// What it is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The server itself: bucket lists and new buckets.
    Service,
    /// A bucket, or anything in it.
    Bucket {
        /// The account that owns it.
        owner: AccountId,
        /// What its policy says.
        policy: Verdict,
    },
}

/// What the policies that were looked at say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing, or there is no policy.
    #[default]
    Silent,
    /// A statement allows it, and none denies it.
    Allowed,
    /// A statement denies it.
    Denied,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Something allows it.
    Allow,
    /// Nothing allows it.
    Deny,
}

/// Decides whether `principal` may perform `action` on `resource`.
///
/// What the bucket's policy denies is denied to everybody. Else the operator may do everything, an
/// account may do everything to what it owns, may list its own buckets and make new ones, and
/// anybody may do what the bucket's policy allows. Nobody else may do anything. Only the owner and
/// the operator may look at and change the policy whatever it says.
pub fn authorize(principal: &Principal, action: Action, resource: &Resource) -> Decision {
    let account = principal.account();
    let allowed = match (action, resource) {
        (_, Resource::Bucket { owner, policy }) => {
            let is_at_home = principal.is_root() || account == Some(*owner);
            match policy {
                Verdict::Denied => is_at_home && action.is_of_policy(),
                Verdict::Allowed => action != Action::Administer,
                Verdict::Silent => {
                    is_at_home && (action != Action::Administer || principal.is_root())
                }
            }
        }
        _ if principal.is_root() => true,
        (Action::ListAllMyBuckets | Action::CreateBucket, Resource::Service) => account.is_some(),
        (_, Resource::Service) => false,
    };
    if allowed { Decision::Allow } else { Decision::Deny }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: u64) -> Principal {
        Principal::Account { account: AccountId(id), access_key_id: format!("key{id}") }
    }

    const fn mine(policy: Verdict) -> Resource {
        Resource::Bucket { owner: AccountId(2), policy }
    }

    const MINE: Resource = mine(Verdict::Silent);

    #[test]
    fn owner_may_use_what_it_owns_and_nobody_else_may() {
        assert_eq!(authorize(&account(2), Action::PutObject, &MINE), Decision::Allow);
        assert_eq!(authorize(&account(3), Action::PutObject, &MINE), Decision::Deny);
        assert_eq!(authorize(&account(3), Action::ListBucket, &MINE), Decision::Deny);
    }

    #[test]
    fn anonymous_is_denied_everything() {
        for resource in [Resource::Service, MINE] {
            for action in [Action::ListAllMyBuckets, Action::GetObject, Action::Administer] {
                assert_eq!(authorize(&Principal::Anonymous, action, &resource), Decision::Deny);
            }
        }
    }

    #[test]
    fn only_root_administers() {
        let root = account(AccountId::ROOT.0);
        assert_eq!(authorize(&root, Action::Administer, &Resource::Service), Decision::Allow);
        assert_eq!(authorize(&account(2), Action::Administer, &Resource::Service), Decision::Deny);
        assert_eq!(authorize(&account(2), Action::Administer, &MINE), Decision::Deny);
    }

    #[test]
    fn root_may_use_the_buckets_of_others() {
        let root = account(AccountId::ROOT.0);
        assert_eq!(authorize(&root, Action::GetObject, &MINE), Decision::Allow);
    }

    #[test]
    fn accounts_list_and_make_their_own_buckets() {
        for action in [Action::ListAllMyBuckets, Action::CreateBucket] {
            assert_eq!(authorize(&account(2), action, &Resource::Service), Decision::Allow);
        }
        assert_eq!(authorize(&account(2), Action::GetObject, &Resource::Service), Decision::Deny);
    }

    #[test]
    fn what_a_policy_denies_is_denied_to_owner_and_operator() {
        let denied = mine(Verdict::Denied);
        for principal in [account(2), account(AccountId::ROOT.0), account(3), Principal::Anonymous]
        {
            assert_eq!(authorize(&principal, Action::GetObject, &denied), Decision::Deny);
        }
    }

    #[test]
    fn owner_and_operator_cannot_be_locked_out_of_the_policy() {
        let denied = mine(Verdict::Denied);
        for action in [Action::GetBucketPolicy, Action::PutBucketPolicy, Action::DeleteBucketPolicy]
        {
            for at_home in [account(2), account(AccountId::ROOT.0)] {
                assert_eq!(authorize(&at_home, action, &denied), Decision::Allow);
            }
            assert_eq!(authorize(&account(3), action, &denied), Decision::Deny);
        }
    }

    #[test]
    fn what_a_policy_allows_is_allowed_to_strangers() {
        let allowed = mine(Verdict::Allowed);
        assert_eq!(authorize(&Principal::Anonymous, Action::GetObject, &allowed), Decision::Allow);
        assert_eq!(authorize(&account(3), Action::GetObject, &allowed), Decision::Allow);
        assert_eq!(authorize(&account(3), Action::Administer, &allowed), Decision::Deny);
    }
}
