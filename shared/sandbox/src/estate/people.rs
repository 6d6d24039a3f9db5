//! Who works here?

use crate::Person;

/// Teams, each with its people; the first of a team answers for its services.
pub(super) const TEAMS: [(&str, &[Person]); 4] = [
    (
        "edge",
        &[
            person("Ines Okafor", "ines.okafor@example.com"),
            person("Jonas Weber", "jonas.weber@example.com"),
            person("Mei Tanaka", "mei.tanaka@example.com"),
        ],
    ),
    (
        "shop",
        &[
            person("Priya Raman", "priya.raman@example.com"),
            person("Lukas Brandt", "lukas.brandt@example.com"),
            person("Sofia Marino", "sofia.marino@example.com"),
            person("Tom Achterberg", "tom.achterberg@example.com"),
        ],
    ),
    (
        "payments",
        &[
            person("Amara Diallo", "amara.diallo@example.com"),
            person("Henrik Lund", "henrik.lund@example.com"),
            person("Carla Nunes", "carla.nunes@example.com"),
        ],
    ),
    (
        "logistics",
        &[
            person("Noor Haddad", "noor.haddad@example.com"),
            person("Piotr Zielinski", "piotr.zielinski@example.com"),
            person("Grace Kimani", "grace.kimani@example.com"),
        ],
    ),
];

const fn person(name: &'static str, email: &'static str) -> Person {
    Person { name, email }
}

/// People of a team.
pub(super) fn people(team: &str) -> &'static [Person] {
    let (_, people) = TEAMS.iter().find(|it| it.0 == team).expect("every service is of one of the teams");
    people
}
