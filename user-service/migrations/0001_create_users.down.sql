drop table user_requests;
drop table users;
