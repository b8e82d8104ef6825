//! Whom an agent is for the authority, and the tokens that its listener gets.
//!
//! May import: nothing of its siblings. Invariant: a token tells its agent and
//! its end by itself, so that none need be remembered; nobody can make one.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::{Organization, Refusal, agent::AgentId};
use crate::emulator::clock::later;

/// How long an agent's token lives.
pub(in crate::emulator) const TOKEN_LIFETIME: Duration = Duration::from_secs(3000);
/// All tokens of agents begin so.
const BEGINNING: &str = "eyJ0eXAiOiJKV1QifQ.YWdlbnQ.";

/// The number of one registration of one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) struct ClientId(pub(in crate::emulator) u64);

/// What an agent is registered with.
///
/// There is no RSA in here: the modulus is a secret that both sides know.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct PublicKey {
    pub(in crate::emulator) exponent: Box<str>,
    pub(in crate::emulator) modulus: SecretString,
}

/// What tokens are signed with.
#[derive(Debug, Default)]
pub(super) struct TokenKeys(RandomState);

// === impl ClientId ===

impl ClientId {
    pub(super) fn first(agent: AgentId) -> Self {
        Self(agent.into())
    }

    /// Of the same agent, when it is registered again.
    pub(super) fn next(self) -> Self {
        let number = (self.0 >> 32) as u16;
        Self(u64::from(number.wrapping_add(1)) << 32 | u64::from(self.agent()))
    }

    fn agent(self) -> AgentId {
        (self.0 & u64::from(AgentId::MAX)) as AgentId
    }
}

// === impl TokenKeys ===

impl TokenKeys {
    fn give(&self, client: ClientId, ends: Timestamp) -> String {
        let (client, ends) = (client.0, ends.as_second());
        let sign = self.0.hash_one((client, ends));
        format!("{BEGINNING}{client:x}-{ends:x}-{sign:016x}")
    }

    /// Whose it is; an error where it has ended or was never given, and `None`
    /// where it is no token of an agent at all.
    fn read(&self, token: &str, now: Timestamp) -> Option<Result<ClientId, Refusal>> {
        let mut parts = token.strip_prefix(BEGINNING)?.split('-');
        let mut part = || parts.next().map(|part| u64::from_str_radix(part, 16));
        let (Some(Ok(client)), Some(Ok(ends))) = (part(), part()) else {
            return Some(Err(Refusal::NoSuchClient));
        };
        let ends = i64::try_from(ends).ok();
        let ends = ends.and_then(|ends| Timestamp::from_second(ends).ok());
        let good = ends.is_some_and(|ends| {
            let given = self.give(ClientId(client), ends);
            now < ends && bool::from(given.as_bytes().ct_eq(token.as_bytes()))
        });
        Some(if good {
            Ok(ClientId(client))
        } else {
            Err(Refusal::NoSuchClient)
        })
    }
}

// === impl Organization ===

impl Organization {
    /// A token for the agent that was registered as this client with this key.
    pub(in crate::emulator) fn agent_token(
        &self,
        client: ClientId,
        modulus: &str,
    ) -> Result<String, Refusal> {
        let agent = self.agent(client.agent()).ok_or(Refusal::NoSuchClient)?;
        let known = agent.key.as_ref().filter(|_| agent.client == client);
        let right = known.is_some_and(|key| {
            let known = key.modulus.expose_secret().as_bytes();
            bool::from(known.ct_eq(modulus.as_bytes()))
        });
        if !right {
            return Err(Refusal::NoSuchClient);
        }
        Ok(self.tokens.give(client, later(self.now, TOKEN_LIFETIME)))
    }

    /// The agent whose token it is; an error where it is good no more, and `None`
    /// where it is no agent's.
    ///
    /// The token of an agent that was deleted lives on, so that its listener
    /// learns what happened; one of an earlier registration does not.
    pub(in crate::emulator) fn holder(&self, token: &str) -> Option<Result<AgentId, Refusal>> {
        let client = match self.tokens.read(token, self.now)? {
            Ok(client) => client,
            Err(refusal) => return Some(Err(refusal)),
        };
        let agent = self.agent(client.agent());
        let replaced = agent.is_some_and(|agent| agent.client != client);
        Some(if replaced {
            Err(Refusal::NoSuchClient)
        } else {
            Ok(client.agent())
        })
    }
}
