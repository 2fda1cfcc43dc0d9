-- @destroys table post_requests
drop table post_requests;
-- @destroys table posts
drop table posts;
