//! What can go wrong here?

mod course;

use std::{fmt, str::FromStr};

pub(crate) use course::{Course, Guilt, Strain};

use crate::SandboxError;

/// One thing that goes wrong, at one place, from one moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// A release that fails part of its requests.
    BadDeploy,
    /// A setting that makes answers slower and slower.
    BadConfiguration,
    /// A release that never frees what it keeps.
    MemoryLeak,
    /// A release that does not give database connections back.
    PoolSaturation,
    /// A system outside of the estate answers slowly.
    SlowDependency,
    /// More people come than the estate is built for.
    TrafficSurge,
    /// Another tenant of a node's hardware takes its processor time.
    NoisyNeighbour,
    /// Nobody renewed the certificate of a service.
    ExpiredCertificate,
}

impl Fault {
    /// Every fault, in the order in which they are listed.
    pub const ALL: [Fault; 8] = [
        Fault::BadDeploy,
        Fault::BadConfiguration,
        Fault::MemoryLeak,
        Fault::PoolSaturation,
        Fault::SlowDependency,
        Fault::TrafficSurge,
        Fault::NoisyNeighbour,
        Fault::ExpiredCertificate,
    ];

    /// The word that names it in commands: `bad_deploy`.
    pub fn word(self) -> &'static str {
        match self {
            Fault::BadDeploy => "bad_deploy",
            Fault::BadConfiguration => "bad_configuration",
            Fault::MemoryLeak => "memory_leak",
            Fault::PoolSaturation => "pool_saturation",
            Fault::SlowDependency => "slow_dependency",
            Fault::TrafficSurge => "traffic_surge",
            Fault::NoisyNeighbour => "noisy_neighbour",
            Fault::ExpiredCertificate => "expired_certificate",
        }
    }

    /// What happened, for a person.
    pub fn title(self) -> &'static str {
        match self {
            Fault::BadDeploy => "a release fails part of its requests",
            Fault::BadConfiguration => "a changed setting makes answers slower and slower",
            Fault::MemoryLeak => "a release never frees what it keeps",
            Fault::PoolSaturation => "a release does not give database connections back",
            Fault::SlowDependency => "a provider outside of the estate answers slowly",
            Fault::TrafficSurge => "more people come than the estate is built for",
            Fault::NoisyNeighbour => "another tenant takes the processor time of a node",
            Fault::ExpiredCertificate => "nobody renewed a certificate",
        }
    }

    /// What a person on call would see of it.
    pub fn seen(self) -> &'static str {
        match self {
            Fault::BadDeploy => {
                "errors of one service jump soon after it was rolled out, and some of those who call it fail too"
            }
            Fault::BadConfiguration => {
                "response times of one service creep up after its configuration changed"
            }
            Fault::MemoryLeak => {
                "memory of one service climbs from its release to its limit, then it is killed"
            }
            Fault::PoolSaturation => {
                "connections in use climb to the maximum, then requests wait, then they fail"
            }
            Fault::SlowDependency => "calls to one provider take far longer; nothing of ours changed",
            Fault::TrafficSurge => "requests rise at the edge and along every call, then response times",
            Fault::NoisyNeighbour => "only the pods of one node are slow, and that node's steal time is high",
            Fault::ExpiredCertificate => {
                "new connections to one service fail; its requests drop, its probe is red"
            }
        }
    }

    /// Whether a change of ours brought it about, so that a roll back heals it.
    pub fn is_ours(self) -> bool {
        match self {
            Fault::BadDeploy | Fault::BadConfiguration | Fault::MemoryLeak | Fault::PoolSaturation => true,
            Fault::SlowDependency
            | Fault::TrafficSurge
            | Fault::NoisyNeighbour
            | Fault::ExpiredCertificate => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Fault {
    type Err = SandboxError;

    fn from_str(word: &str) -> Result<Fault, SandboxError> {
        let plain = word.replace('-', "_");
        Fault::ALL.into_iter().find(|it| it.word() == plain).ok_or_else(|| SandboxError::UnknownFault {
            word: word.to_owned(),
            known: Fault::ALL.map(Fault::word).join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_found_by_its_word() {
        for fault in Fault::ALL {
            assert_eq!(fault.word().parse::<Fault>().unwrap(), fault);
            assert_eq!(fault.word().replace('_', "-").parse::<Fault>().unwrap(), fault);
        }
        let error = "gremlins".parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains("`gremlins`") && error.contains("memory_leak"), "{error}");
    }
}
