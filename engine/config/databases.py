"""Sections about the databases that applications may be kept in.

Values only; only the section of the chosen `app_manager.driver` is used.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from engine.config.base import Flag, Host, OptionalText, Port, Region, Section, http_url, text

_TABLE = "letters, digits or _ $ -, up to 64, after the schema's name and a dot where it has one"

#: It stands in statements between quotes, which none of these characters can end.
TableName = Annotated[str, text(r"(?:[A-Za-z0-9_$-]{1,64}\.)?[A-Za-z0-9_$-]{1,64}", _TABLE)]
DynamoTableName = Annotated[str, text(r"[A-Za-z0-9_.-]{3,255}", "3 to 255 letters, digits or _ . -")]
Name = Annotated[str, text(r"[^\x00]{1,255}", "1 to 255 characters")]
Password = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]


class SqlConfig(Section):
    """How to reach a table of an SQL server.

    :param tls: encrypted, with the server's certificate and name verified.
    :param tls_ca_path: certificates (PEM) to trust instead of the system's.
    """

    host: Host = "localhost"
    port: Port
    username: Name = "root"
    password: Password = Field(default="", repr=False)
    database: Name = "sockudo"
    table_name: TableName = "applications"
    tls: Flag = False
    tls_ca_path: OptionalText = None


class MySqlConfig(SqlConfig):
    port: Port = 3306


class PostgresConfig(SqlConfig):
    port: Port = 5432


class SqliteConfig(Section):
    """A file of this machine, which `python -m engine apps add` makes and fills; nodes on other machines do not see it.

    :param path: of the file; relative to the working directory.
    """

    path: Annotated[str, text(r".+", "a path")] = "data/applications.sqlite3"
    table_name: TableName = "applications"


class DynamoDbConfig(Section):
    """Credentials come from the usual chain of AWS unless they are given here.

    :param endpoint_url: instead of AWS itself, for a local stand-in.
    :param aws_profile_name: of the shared credentials file.
    """

    region: Region = "us-east-1"
    table_name: DynamoTableName = "sockudo-applications"
    endpoint_url: Annotated[str, BeforeValidator(http_url)] | None = None
    aws_access_key_id: OptionalText = None
    aws_secret_access_key: OptionalText = Field(default=None, repr=False)
    aws_profile_name: OptionalText = None
