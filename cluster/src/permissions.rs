//! Who may do what: one table from permission to roles.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What someone is in this bramble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May do everything.
    Admin,
    /// Deploys, scales and removes functions.
    Deployer,
    /// Invokes functions.
    Invoker,
    /// Looks only.
    Viewer,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::Deployer => "deployer",
            Self::Invoker => "invoker",
            Self::Viewer => "viewer",
        })
    }
}

/// Something that not everyone may do. Every route that is not open names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// See functions, their replicas and their events.
    ViewFunctions,
    /// Deploy, update, scale and remove functions.
    ChangeFunctions,
    /// See nodes and how they are.
    ViewNodes,
    /// Admit, cordon and remove nodes.
    ChangeNodes,
    /// See versions and what provides the API.
    ViewInfo,
    /// Add and remove users, change passwords and roles.
    ChangeUsers,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ViewFunctions => "view_functions",
            Self::ChangeFunctions => "change_functions",
            Self::ViewNodes => "view_nodes",
            Self::ChangeNodes => "change_nodes",
            Self::ViewInfo => "view_info",
            Self::ChangeUsers => "change_users",
        })
    }
}

impl Permission {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::ViewFunctions,
        Self::ChangeFunctions,
        Self::ViewNodes,
        Self::ChangeNodes,
        Self::ViewInfo,
        Self::ChangeUsers,
    ];

    /// Everyone who has it.
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::ViewInfo => &[Role::Admin, Role::Deployer, Role::Invoker, Role::Viewer],
            Self::ViewFunctions | Self::ViewNodes => &[Role::Admin, Role::Deployer, Role::Viewer],
            Self::ChangeFunctions => &[Role::Admin, Role::Deployer],
            Self::ChangeNodes | Self::ChangeUsers => &[Role::Admin],
        }
    }
}

impl Role {
    /// Whether someone of this role may do it.
    pub fn may(self, permission: Permission) -> bool {
        permission.roles().contains(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_may_do_everything() {
        assert!(
            Permission::ALL
                .into_iter()
                .all(|permission| Role::Admin.may(permission))
        );
    }

    #[test]
    fn only_an_admin_changes_nodes_and_users() {
        for role in [Role::Deployer, Role::Invoker, Role::Viewer] {
            assert!(!role.may(Permission::ChangeNodes) && !role.may(Permission::ChangeUsers));
        }
    }

    #[test]
    fn a_viewer_looks_and_a_deployer_deploys() {
        assert!(
            Role::Viewer.may(Permission::ViewFunctions) && !Role::Viewer.may(Permission::ChangeFunctions)
        );
        assert!(Role::Deployer.may(Permission::ChangeFunctions));
    }

    #[test]
    fn an_invoker_sees_neither_functions_nor_nodes() {
        assert!(!Role::Invoker.may(Permission::ViewFunctions) && !Role::Invoker.may(Permission::ViewNodes));
    }
}
