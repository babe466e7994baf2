// The tables of prisma.mjs.
import {ALL} from './same.mjs'

const head = `
generator client {
  provider        = "prisma-client-js"
  output          = "./client"
  previewFeatures = ["relationJoins", "views", "nativeDistinct", "fullTextSearchPostgres"]
}
datasource db {
  provider = "postgresql"
  schemas  = ["public", "pr"]
}
`
export const bare = head
export const schema = `${head}
enum Mood {
  SAD  @map("sad")
  OK
  GLAD @map("very glad")
  @@map("pr_mood")
  @@schema("public")
}
model Author {
  id      Int      @id @default(autoincrement())
  email   String   @unique @db.VarChar(40)
  name    String?
  mood    Mood     @default(OK)
  tags    String[] @default(["new"])
  scores  Int[]
  info    Json?
  visits  BigInt   @default(0)
  made    DateTime @default(now()) @db.Timestamptz(3)
  changed DateTime @updatedAt
  bossId  Int?     @map("boss")
  boss    Author?  @relation("boss", fields: [bossId], references: [id], onDelete: SetNull)
  workers Author[] @relation("boss")
  books   Book[]
  profile Profile?
  @@map("pr_author")
  @@schema("public")
}
model Profile {
  id       String @id @default(uuid()) @db.Uuid
  text     String @default("none")
  secret   String @default("x")
  authorId Int    @unique
  author   Author @relation(fields: [authorId], references: [id], onDelete: Cascade)
  @@map("pr_profile")
  @@schema("public")
}
model Book {
  id       Int      @id @default(autoincrement())
  title    String
  price    Decimal? @db.Decimal(8, 2)
  sold     Boolean  @default(false)
  stock    Int      @default(1)
  authorId Int      @map("author_id")
  author   Author   @relation(fields: [authorId], references: [id], onDelete: Cascade)
  labels   Label[]
  reviews  Review[]
  @@unique([authorId, title], name: "by", map: "pr_book_title")
  @@index([price(sort: Desc), sold], map: "pr_book_price")
  @@map("pr_book")
  @@schema("public")
}
model Label {
  id    BigInt @id @default(autoincrement())
  text  String @unique
  books Book[]
  @@map("pr_label")
  @@schema("public")
}
model Review {
  bookId Int    @map("book_id")
  reader String
  stars  Int    @db.SmallInt
  book   Book   @relation(fields: [bookId], references: [id], onDelete: Restrict)
  @@id([bookId, reader])
  @@map("review")
  @@schema("pr")
}
model Key {
  a String @id @default(dbgenerated("gen_random_uuid()")) @db.Uuid
  b String @default(cuid())
  c String @default(nanoid())
  d String @default(ulid())
  e String @default(uuid(7)) @db.Uuid
  n Int?
  s String?
  @@map("pr_key")
  @@schema("public")
}
model Types {
  id   Int       @id
  i2   Int?      @db.SmallInt
  i4   Int?
  i8   BigInt?
  f4   Float?    @db.Real
  f8   Float?
  n    Decimal? ${ALL ? '' : '@db.Decimal(28, 10)'}
  n2   Decimal?  @db.Decimal(10, 2)
  ok   Boolean?
  t    String?
  v    String?   @db.VarChar(5)
  c    String?   @db.Char(3)
  u    String?   @db.Uuid
  b    Bytes?
  d    DateTime? @db.Date
  ti   DateTime? @db.Time(3)
  ts   DateTime?
  ts0  DateTime? @db.Timestamp(0)
  tz   DateTime? @db.Timestamptz(6)
  j    Json?     @db.Json
  jb   Json?
  m    Mood?
  i2a  Int[]     @db.SmallInt
  i4a  Int[]
  i8a  BigInt[]
  f8a  Float[]
  na   Decimal[] @db.Decimal(10, 2)
  oka  Boolean[]
  ta   String[]
  va   String[]  @db.VarChar(5)
  ua   String[]  @db.Uuid
  ba   Bytes[]
  da   DateTime[] @db.Date
  tsa  DateTime[]
  tza  DateTime[] @db.Timestamptz(3)
  jba  Json[]
  ma   Mood[]
  @@map("pr_types")
  @@schema("public")
}
view Cheap {
  title String
  price Decimal
  @@map("pr_cheap")
  @@schema("public")
}
${ALL ? `
model Odd {
  id Int     @id
  ip String? @db.Inet
  o  Int?    @db.Oid
  b  String? @db.Bit(3)
  vb String? @db.VarBit(5)
  m  Decimal? @db.Money
  tz DateTime? @db.Timetz(3)
  @@map("pr_odd")
  @@schema("public")
}` : ''}
`
