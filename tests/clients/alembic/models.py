"""Tables with relations, as the last revision leaves them."""
import datetime
import decimal
import enum
import uuid
from typing import Optional

from sqlalchemy import (
    CheckConstraint, Column, DateTime, ForeignKey, ForeignKeyConstraint, Index, Integer, MetaData, Numeric, String, Table,
    UniqueConstraint, func, text)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

CONVENTION = {
    "ix": "ix_%(column_0_label)s", "uq": "uq_%(table_name)s_%(column_0_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s", "pk": "pk_%(table_name)s"}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=CONVENTION)


membership = Table(
    "membership", Base.metadata,
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE"), primary_key=True),
    Column("team_id", ForeignKey("team.id", ondelete="CASCADE"), primary_key=True))


class Person(Base):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), index=True)
    email: Mapped[Optional[str]] = mapped_column(String(80), unique=True)
    boss_id: Mapped[Optional[int]] = mapped_column(ForeignKey("person.id"))
    version: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    created: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    boss: Mapped[Optional["Person"]] = relationship(remote_side=[id], back_populates="staff")
    staff: Mapped[list["Person"]] = relationship(back_populates="boss")
    teams: Mapped[list["Team"]] = relationship(secondary=membership, back_populates="members")
    orders: Mapped[list["Order"]] = relationship(back_populates="person", cascade="all, delete-orphan")
    __mapper_args__ = {"version_id_col": version}


class Team(Base):
    __tablename__ = "team"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    members: Mapped[list[Person]] = relationship(secondary=membership, back_populates="teams")


class Order(Base):
    __tablename__ = "order"
    number: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True, default=uuid.uuid4)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    total: Mapped[decimal.Decimal] = mapped_column(Numeric(12, 2))
    labels: Mapped[Optional[list[str]]] = mapped_column(ARRAY(String))
    extra: Mapped[Optional[dict]] = mapped_column(JSONB)
    person: Mapped[Person] = relationship(back_populates="orders")
    lines: Mapped[list["Line"]] = relationship(back_populates="order", cascade="all, delete-orphan", order_by="Line.position")
    __table_args__ = (CheckConstraint("total >= 0", name="not_negative"), Index("ix_order_person_total", "person_id", text("total DESC")))


class Line(Base):
    __tablename__ = "line"
    order_number: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sku: Mapped[str] = mapped_column(String(20))
    order: Mapped[Order] = relationship(back_populates="lines")
    __table_args__ = (ForeignKeyConstraint(["order_number"], ["order.number"]), UniqueConstraint("order_number", "sku"))
